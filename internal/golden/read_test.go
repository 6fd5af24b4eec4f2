package golden

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.hex")
	if err := os.WriteFile(file, []byte("# all of it\n= a\n00 01  # version\nff\n\n= b\n7f\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := Read(t, file)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"a", "b"}) {
		t.Fatalf("names=%v", names)
	}
	if !slices.Equal(got["a"], []byte{0, 1, 0xff}) || !slices.Equal(got["b"], []byte{0x7f}) {
		t.Errorf("%x", got)
	}
}
