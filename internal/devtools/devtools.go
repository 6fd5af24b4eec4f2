package devtools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Root is the directory of the module that the working directory lies in: the one with go.mod and scripts/tools.sh.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for start := dir; ; {
		_, errMod := os.Stat(filepath.Join(dir, "go.mod"))
		_, errTools := os.Stat(filepath.Join(dir, "scripts", "tools.sh"))
		if errMod == nil && errTools == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no module root with scripts/tools.sh above the working directory: %w dir=%s", fs.ErrNotExist, start)
		}
		dir = parent
	}
}

// Path returns the path of a tool's program at its pinned version, building it when it is missing. A first build takes minutes:
// the context bounds it. Callers in several processes wait for one build.
func Path(ctx context.Context, name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts", "tools.sh"), name)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build tool: %w name=%s output=%s", errors.Join(err, ctx.Err()), name, tail(stderr.Bytes(), 2000))
	}
	return string(bytes.TrimSpace(stdout.Bytes())), nil
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return bytes.TrimSpace(b)
}
