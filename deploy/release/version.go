package main

import (
	"fmt"
	"regexp"
	"time"
)

var (
	tagged   = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+)(?:-((?:alpha|beta|rc)[.0-9]*))?(?:-([0-9]+)-g([0-9a-f]{7,40}))?(-dirty)?$`)
	untagged = regexp.MustCompile(`^([0-9a-f]{7,40})(-dirty)?$`)
)

// packageVersion turns what git describe says into a version that Debian orders rightly and that needs no quoting in a URL:
//
//	v1.2.0             1.2.0
//	v1.3.0-rc1         1.3.0~rc1           before 1.3.0
//	v1.2.0-7-g1a2b3c4  1.2.0.7.g1a2b3c4    after 1.2.0, before 1.2.1
//	1a2b3c4            0.0.0.20261128140723.g1a2b3c4    by the second: of two commits of one day, the hash would decide
//
// and the same with .dirty for a tree that is not what was committed.
func packageVersion(described string, committed time.Time) (string, error) {
	var version, dirty string
	if m := tagged.FindStringSubmatch(described); m != nil {
		version, dirty = m[1], m[5]
		if m[2] != "" {
			version += "~" + m[2]
		}
		if m[3] != "" {
			version += "." + m[3] + ".g" + m[4]
		}
	} else if m := untagged.FindStringSubmatch(described); m != nil {
		version, dirty = "0.0.0."+committed.UTC().Format("20060102150405")+".g"+m[1], m[2]
	} else {
		return "", fmt.Errorf("no version can be made of it: described=%q", described)
	}
	if dirty != "" {
		version += ".dirty"
	}
	return version, nil
}
