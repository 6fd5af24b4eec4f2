package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and commit are stamped by the Makefile with -ldflags -X.
var (
	version = "devel"
	commit  = ""
)

// versionText is what --version prints after the program's name.
func versionText() string {
	return fmt.Sprintf("%s commit=%s %s %s/%s", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// revision is the commit that was built: the stamp, or else what Go itself noted.
func revision() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
