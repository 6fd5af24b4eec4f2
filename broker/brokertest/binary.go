package brokertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/devtools"
)

// BinaryVariable is the environment variable that names a program to test instead of one built from this source.
const BinaryVariable = "TIDELINE_TEST_BINARY"

// RaceVariable is the environment variable that, when it is not empty, has the program built with the race detector. The program then
// ends at the first race.
const RaceVariable = "TIDELINE_TEST_RACE"

const buildTimeout = 15 * time.Minute // the first build of all dependencies on a small, busy machine

var build struct {
	sync.Once
	path string
	err  error
}

// Binary returns the path of the tideline program, built from this source at the first call of a process.
func Binary() (string, error) {
	build.Do(func() {
		if build.path = os.Getenv(BinaryVariable); build.path == "" {
			build.path, build.err = buildBinary()
		}
	})
	return build.path, build.err
}

// BinaryOf returns the path of the program of a revision of this repository, built from what git has of it.
func BinaryOf(revision string) (path string, err error) {
	root, err := devtools.Root()
	if err != nil {
		return "", err
	}
	source, err := os.MkdirTemp("", "tideline-revision-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(source)) }()
	archive := filepath.Join(source, "source.tar")
	for _, args := range [][]string{
		{"git", "-C", root, "archive", "--output", archive, revision + "^{commit}"},
		{"tar", "-x", "-f", archive, "-C", source},
	} {
		if output, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("source of revision=%s: %w output=%s", revision, err, output)
		}
	}
	return buildFrom(source, root)
}

func buildBinary() (string, error) {
	root, err := devtools.Root()
	if err != nil {
		return "", err
	}
	return buildFrom(root, root)
}

// buildFrom has the go command link the program beside its final name, which is the hash of its content: a test binary that runs an
// older state keeps its program, and nobody ever runs half a file.
func buildFrom(source, root string) (path string, err error) {
	dir := filepath.Join(root, ".tools", "brokertest")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	stage, err := os.MkdirTemp(dir, ".stage-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", stage, "./cmd/tideline"}
	cgo := "CGO_ENABLED=0"
	if os.Getenv(RaceVariable) != "" {
		args = append(args[:1:1], append([]string{"-race"}, args[1:]...)...)
		cgo = "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), cgo, "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tideline: %w output=%s", err, output)
	}
	built := filepath.Join(stage, "tideline")
	content, err := os.ReadFile(built)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	path = filepath.Join(dir, "tideline-"+hex.EncodeToString(sum[:8]))
	if err := os.Rename(built, path); err != nil {
		return "", err
	}
	return path, removeOld(dir, path)
}

// keepBinaries bounds the programs that stay in .tools/brokertest.
const keepBinaries = 4

// removeOld removes programs that are older than a day, when there are many. One that runs goes on running.
func removeOld(dir, current string) error {
	found, err := filepath.Glob(filepath.Join(dir, "tideline-*"))
	if err != nil || len(found) <= keepBinaries {
		return err
	}
	for _, path := range found {
		info, err := os.Stat(path)
		if err != nil || path == current || time.Since(info.ModTime()) < 24*time.Hour {
			continue // another test binary was quicker, or the program is in use
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
