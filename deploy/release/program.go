package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is what the program is built from.
type source struct {
	root            string // of the repository
	version, commit string // stamped into it
}

// environ is the environment of the go command: what the user has set for himself does not count.
func (s *source) environ(arch string) []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off", "GODEBUG=")
}

// program builds the program for an architecture, with the stamps that make build gives it.
func (s *source) program(ctx context.Context, arch, path string) (*buildinfo.BuildInfo, error) {
	_, err := s.run(ctx, arch, "build", "-trimpath", "-buildvcs=false", "-o", path,
		"-ldflags", "-s -w -buildid= -X main.version="+s.version+" -X main.commit="+s.commit, "./cmd/tideline")
	if err != nil {
		return nil, err
	}
	return buildinfo.ReadFile(path)
}

// pack is a package that is in the program, and the module that it comes from.
type pack struct {
	module, version, moduleDir, dir string
}

// packages lists what is linked into the program for an architecture, beside the standard library and what is ours.
func (s *source) packages(ctx context.Context, arch string) ([]pack, error) {
	out, err := s.run(ctx, arch, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}", "./cmd/tideline")
	if err != nil {
		return nil, err
	}
	var packs []pack
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("go list printed what is not understood: line=%q", line)
		}
		packs = append(packs, pack{f[0], f[1], f[2], f[3]})
	}
	if len(packs) == 0 {
		return nil, errors.New("go list knows of no package")
	}
	return packs, nil
}

// goroot is where the toolchain lies.
func (s *source) goroot(ctx context.Context) (string, error) {
	out, err := s.run(ctx, "amd64", "env", "GOROOT")
	return strings.TrimSpace(out), err
}

// run runs the go command in the repository and returns what it prints.
func (s *source) run(ctx context.Context, arch string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = s.root, s.environ(arch)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w output=%q", args[0], errors.Join(err, ctx.Err()), stderr.String())
	}
	return string(out), nil
}

// read reads a file of the repository.
func (s *source) read(path string) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.root, filepath.FromSlash(path)))
}
