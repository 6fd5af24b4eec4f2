//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFetchDebootstrapOnAFreshMachine: no folder of the tools is there yet, and dpkg-deb makes the last one only.
func TestFetchDebootstrapOnAFreshMachine(t *testing.T) {
	bin := t.TempDir()
	for name, script := range map[string]string{
		"apt-get":  "#!/bin/sh\n: >debootstrap.deb\n",
		"dpkg-deb": "#!/bin/sh\n[ -d \"$3\" ] || mkdir \"$3\"\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	dir := filepath.Join(t.TempDir(), "zones", "debootstrap")
	if err := fetchDebootstrap(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
