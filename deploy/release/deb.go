package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// scripts are those that Debian runs around an installation, in deploy/package.
var scripts = []string{"postinst", "prerm", "postrm"}

// deb makes a package of Debian. What is in /etc is the administrator's once it is there. The group that may read the settings is made by a
// script, so that all is root's in the package itself.
func (r *release) deb(arch string, content *content) (made []byte, err error) {
	// The library reads files; it is told of their modes and times.
	stage, err := os.MkdirTemp("", "tideline-deb-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	n := 0
	put := func(b []byte) (string, error) {
		n++
		path := filepath.Join(stage, fmt.Sprint(n))
		return path, os.WriteFile(path, b, 0o600)
	}
	info := &nfpm.Info{
		Name: "tideline", Arch: arch, Platform: "linux", Version: r.version, VersionSchema: "none", Section: "database", Priority: "optional",
		Maintainer: "The Tideline authors <maintainers@tideline.invalid>", Homepage: home, License: "Apache-2.0", MTime: r.when, DisableGlobbing: true,
		Description: "broker that speaks the Kafka protocol, with history in an object store\n" +
			"All partitions share one local log with one fdatasync for all that waits; what is\ncommitted moves into an object store.",
		Overridables: nfpm.Overridables{
			// The script makes a user.
			Depends: []string{"passwd"}, Recommends: []string{"ca-certificates"},
			Deb: nfpm.Deb{Compression: "gzip"},
		},
	}
	add := func(to, kind string, mode os.FileMode, b []byte) error {
		c := &files.Content{Destination: to, Type: kind, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.when}}
		if kind != files.TypeDir {
			if c.Source, err = put(b); err != nil {
				return err
			}
		}
		info.Contents = append(info.Contents, c)
		return nil
	}
	for _, f := range []struct {
		to, kind string
		mode     os.FileMode
		b        []byte
	}{
		{"/usr/bin/tideline", files.TypeFile, 0o755, content.program},
		{"/usr/lib/systemd/system/tideline.service", files.TypeFile, 0o644, content.unit},
		{"/etc/tideline", files.TypeDir, 0o750, nil},
		{"/etc/tideline/tideline.yaml", files.TypeConfigNoReplace, 0o640, content.settings},
		{"/etc/default/tideline", files.TypeConfigNoReplace, 0o600, content.environment},
		{"/var/lib/tideline", files.TypeDir, 0o750, nil},
		{"/usr/share/doc/tideline/copyright", files.TypeFile, 0o644, content.licence},
		{"/usr/share/doc/tideline/" + noticesName, files.TypeFile, 0o644, content.notices},
	} {
		if err := add(f.to, f.kind, f.mode, f.b); err != nil {
			return nil, err
		}
	}
	for _, d := range content.docs {
		if err := add("/usr/share/doc/tideline/"+d.name, files.TypeFile, 0o644, d.text); err != nil {
			return nil, err
		}
	}
	paths := map[string]string{}
	for _, name := range scripts {
		text, err := r.source.read("deploy/package/" + name)
		if err != nil {
			return nil, err
		}
		if paths[name], err = put(text); err != nil {
			return nil, err
		}
	}
	info.Scripts = nfpm.Scripts{PostInstall: paths["postinst"], PreRemove: paths["prerm"], PostRemove: paths["postrm"]}
	var b bytes.Buffer
	if err := deb.Default.Package(nfpm.WithDefaults(info), &b); err != nil {
		return nil, fmt.Errorf("make the package: %w arch=%s", err, arch)
	}
	return b.Bytes(), nil
}
