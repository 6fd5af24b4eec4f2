//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
)

// pack makes the Debian package of this tree, as it is handed out.
func pack(ctx context.Context, o *options) (string, error) {
	out := filepath.Join(o.Dir, "dist")
	if _, err := quietly(ctx, o.Root, "make", "release", "DIST="+out, "RELEASE_ARCH="+runtime.GOARCH); err != nil {
		return "", err
	}
	made, err := filepath.Glob(filepath.Join(out, "tideline_*_"+runtime.GOARCH+".deb"))
	if err != nil || len(made) != 1 {
		return "", errors.Join(fmt.Errorf("make release has made other packages than one: %q", made), err)
	}
	return made[0], nil
}
