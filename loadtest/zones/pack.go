//go:build linux

package main

import "context"

func pack(ctx context.Context, o *options) (string, error) {
	script := `set -eu
CGO_ENABLED=0 nice -n 10 go build -trimpath -o "$DIR/tideline" ./cmd/tideline
cp deploy/systemd/tideline.service "$DIR/"
tar -C "$DIR" -czf "$DIR/tideline.tar.gz" tideline tideline.service
echo "$DIR/tideline.tar.gz"`
	return quietly(ctx, o.Root, "env", "DIR="+o.Dir, "/bin/sh", "-c", script)
}
