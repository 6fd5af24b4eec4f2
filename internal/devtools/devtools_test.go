package devtools_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/devtools"
)

func TestRoot(t *testing.T) {
	root, err := devtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "devtools", "devtools_test.go")); err != nil {
		t.Errorf("root %s is not that of this module: %v", root, err)
	}
	t.Chdir(t.TempDir())
	if root, err := devtools.Root(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("outside of a module: %q, %v", root, err)
	}
}

func TestPathOfUnknownTool(t *testing.T) {
	_, err := devtools.Path(t.Context(), "no-such-tool")
	if err == nil || !strings.Contains(err.Error(), "unknown tool name=no-such-tool") {
		t.Errorf("got %v", err)
	}
}
