package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tidelinehq/tideline/deploy/check/terraform/modules"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: terraform-docs DIR...")
		os.Exit(2)
	}
	for _, dir := range os.Args[1:] {
		if err := write(dir); err != nil {
			fmt.Fprintf(os.Stderr, "terraform-docs: %v dir=%s\n", err, dir)
			os.Exit(1)
		}
	}
}

func write(dir string) error {
	m, err := modules.Load(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "README.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	filled, err := modules.Fill(old, m.Page())
	if err != nil || bytes.Equal(old, filled) {
		return err
	}
	return os.WriteFile(path, filled, 0o644)
}
