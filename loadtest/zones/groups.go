//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const groupPrefix = "tideline-zones-"

// unified is where version 2 of control groups is mounted.
func unified() (string, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[2] == "cgroup2" {
			return fields[1], nil
		}
	}
	return "", errors.New("no file system of type cgroup2 is mounted")
}

// makeGroups makes our directory among the control groups. Those that a run left which was killed go first.
func makeGroups() (string, error) {
	root, err := unified()
	if err != nil {
		return "", err
	}
	stale, err := filepath.Glob(filepath.Join(root, groupPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range stale {
		_ = removeGroups(dir) // one that has processes belongs to a run that goes on
	}
	dir := filepath.Join(root, fmt.Sprint(groupPrefix, os.Getpid()))
	return dir, os.Mkdir(dir, 0o755)
}

// removeGroups removes a directory of groups from the leaves on: a group with processes can not be removed.
func removeGroups(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		err = errors.Join(err, os.Remove(dirs[i]))
	}
	return err
}
