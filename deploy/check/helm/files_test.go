package helm

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what is made of other files")

// TestReadme: the table of values is that of the schema.
func TestReadme(t *testing.T) {
	schema := read(t, filepath.Join(Dir, "values.schema.json"))
	defaults, err := Values(read(t, filepath.Join(Dir, "values.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	table, err := Table(schema, defaults)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(Dir, "README.md")
	readme, err := WithTable(string(read(t, path)), table)
	if err != nil {
		t.Fatal(err)
	}
	same(t, path, []byte(readme))
}

// TestDefaultsAreAll: each value that the schema knows has a default, and no other.
func TestDefaultsAreAll(t *testing.T) {
	v := map[string]any{"objectStore": map[string]any{"url": "s3://bucket"}}
	if _, err := Render(v, release); err != nil {
		t.Fatal(err) // the schema refuses what it does not know
	}
}

// TestCopies: a chart has only what lies in it, so it has copies of the alerts and the dashboards.
func TestCopies(t *testing.T) {
	for from, pattern := range map[string]string{"prometheus": "*.rules.yaml", "grafana": "*.json"} {
		source, copied := filepath.Join("../..", from), filepath.Join(Dir, "files", from)
		want := map[string]bool{}
		for _, path := range glob(t, filepath.Join(source, pattern)) {
			name := filepath.Base(path)
			want[name] = true
			same(t, filepath.Join(copied, name), read(t, path))
		}
		for _, path := range glob(t, filepath.Join(copied, "*")) {
			if !want[filepath.Base(path)] {
				t.Errorf("%s is a copy of nothing", path)
			}
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same holds a file against what it should have, or writes that.
func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err == nil && bytes.Equal(got, want) {
		return
	}
	if !*rewrite {
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is missing: run make helm", path)
		} else {
			t.Errorf("%s is out of date: run make helm (%v)", path, err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
}
