package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	spdx "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

var when = time.Unix(1_790_000_000, 0)

// packed makes all but the program into a directory, from a program that is none.
func packed(t *testing.T, dir string) *release {
	t.Helper()
	r := &release{source: &source{root: "../..", version: "v1.2.3-rc1", commit: "0123456789ab"}, when: when, out: dir}
	var err error
	if r.version, err = packageVersion(r.source.version, r.when); err != nil {
		t.Fatal(err)
	}
	if err := r.clear(); err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		c := &content{program: []byte("#!/bin/sh\necho tideline " + arch + "\n"), notices: []byte("none\n")}
		c.parts = []part{{module: "example.com/a", version: "v1.0.0", licences: []string{"MIT"}}, {module: "std", version: "go1.26.0", licences: []string{"BSD-3-Clause"}}}
		if err := r.collect(c); err != nil {
			t.Fatal(err)
		}
		if err := r.pack(arch, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.sums(); err != nil {
		t.Fatal(err)
	}
	return r
}

// Everything is the same when it is made again, wherever, and under whatever mask of modes.
func TestSameBytes(t *testing.T) {
	a := packed(t, t.TempDir())
	t.Setenv("TZ", "Asia/Kolkata")
	t.Setenv("TMPDIR", t.TempDir())
	b := packed(t, filepath.Join(t.TempDir(), "elsewhere"))
	if len(a.made) != 10 || len(b.made) != len(a.made) {
		t.Fatalf("%d and %d were made", len(a.made), len(b.made))
	}
	for i := range a.made {
		if a.made[i] != b.made[i] {
			t.Errorf("%+v is %+v the second time", a.made[i], b.made[i])
		}
	}
}

// What is in the list of checksums is what is there, and a second release leaves nothing of the first.
func TestSums(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tideline_0.9.0_amd64.deb", "note.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	packed(t, dir)
	list, err := os.ReadFile(filepath.Join(dir, sumsName))
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range there {
		name := entry.Name()
		if name == sumsName || name == "note.txt" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(list), fmt.Sprintf("%x  %s\n", sha256.Sum256(b), name)) {
			t.Errorf("%s is not in the list, or with another sum:\n%s", name, list)
		}
	}
	if len(there) != 12 {
		t.Errorf("there are %d files", len(there))
	}
}

func TestPackageVersion(t *testing.T) {
	for described, want := range map[string]string{
		"v1.2.0": "1.2.0", "1.2.0-dirty": "1.2.0.dirty", "v1.3.0-rc1": "1.3.0~rc1", "v1.2.0-7-g1a2b3c4": "1.2.0.7.g1a2b3c4",
		"v1.3.0-beta.2-7-g1a2b3c4-dirty": "1.3.0~beta.2.7.g1a2b3c4.dirty", "1a2b3c4": "0.0.0.20260921141320.g1a2b3c4", "1a2b3c4-dirty": "0.0.0.20260921141320.g1a2b3c4.dirty",
		"": "", "devel": "", "v1.2": "", "1.2.0 && true": "", "v1.2.0-next": "",
	} {
		got, err := packageVersion(described, when)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", described, got, err)
		}
	}
}

// An image is valid by the library's own judgement, and is what docker's older index says.
func TestImage(t *testing.T) {
	dir := t.TempDir()
	packed(t, dir)
	unpacked := t.TempDir()
	f, err := os.Open(filepath.Join(dir, "tideline_1.2.3~rc1_image_arm64.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	untar(t, f, unpacked)
	index, err := layout.ImageIndexFromPath(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("manifests %+v, %v", manifest, err)
	}
	if name := manifest.Manifests[0].Annotations["io.containerd.image.name"]; name != "docker.io/library/tideline:1.2.3-rc1" {
		t.Errorf("named %q", name)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.Architecture != "arm64" || c.OS != "linux" || c.Config.User != "65532:65532" || !c.Created.Equal(when) || c.Config.Entrypoint[0] != "/usr/bin/tideline" {
		t.Errorf("config %+v", c)
	}
	old, err := os.ReadFile(filepath.Join(unpacked, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var docker []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(old, &docker); err != nil || len(docker) != 1 || len(docker[0].Layers) != 2 || docker[0].RepoTags[0] != "tideline:1.2.3-rc1" {
		t.Fatalf("%s: %v", old, err)
	}
	root := t.TempDir()
	for _, blob := range append(docker[0].Layers, docker[0].Config) {
		f, err := os.Open(filepath.Join(unpacked, filepath.FromSlash(blob)))
		if err != nil {
			t.Fatal(err)
		}
		if z, err := gzip.NewReader(f); err == nil {
			untar(t, z, root)
		}
		f.Close()
	}
	program, err := os.Stat(filepath.Join(root, "usr/bin/tideline"))
	if err != nil || program.Mode() != 0o755 || !program.ModTime().Equal(when) {
		t.Errorf("program %v, %v", program, err)
	}
	pem, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
		t.Errorf("authorities: %v", err)
	}
}

// A bill of materials is read back by the library that reads those of others, and all that it relates is in it.
func TestBill(t *testing.T) {
	dir := t.TempDir()
	packed(t, dir)
	for name, modules := range map[string]int{"tideline_1.2.3~rc1_linux_amd64": 3, "tideline_1.2.3~rc1_image_amd64": 4} {
		f, err := os.Open(filepath.Join(dir, name+".spdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		doc := &v2_3.Document{}
		if err := spdx.ReadInto(f, doc); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := spdxlib.ValidateDocument(doc); err != nil {
			t.Error(err)
		}
		if len(doc.Packages) != modules || doc.CreationInfo.Created != "2026-09-21T14:13:20Z" {
			t.Errorf("%s: %d packages, made %s", name, len(doc.Packages), doc.CreationInfo.Created)
		}
	}
}

const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

const agpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU Affero General Public License as
published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied warranty of
MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU Affero General Public License for more details.
`

// What a program may be made of, and what not.
func TestLicences(t *testing.T) {
	module := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(module, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("license.go", "package a") // not a text
	write("a/b/c.go", "package b")
	list := []pack{{"example.com/m", "v1.0.0", module, filepath.Join(module, "a", "b")}}
	goroot := t.TempDir()
	if err := os.WriteFile(filepath.Join(goroot, "LICENSE"), []byte(mit), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parts(list, goroot, "go1.26.0"); err == nil || !strings.Contains(err.Error(), "no licence is known module=example.com/m") {
		t.Errorf("without a licence: %v", err)
	}
	write("LICENSE", mit)
	write("a/NOTICE.txt", "Made by somebody.\r\nReally.\n")
	got, err := parts(list, goroot, "go1.26.0")
	if err != nil || len(got) != 2 || got[0].licences[0] != "MIT" || len(got[0].texts) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	text := string(notices(got))
	for _, want := range []string{"example.com/m v1.0.0 LICENSE\nGo 1.26.0 LICENSE\n", "example.com/m v1.0.0 a/NOTICE.txt\n\nMade by somebody.\nReally.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the notices:\n%s", want, text)
		}
	}
	write("a/COPYING", agpl)
	if _, err := parts(list, goroot, "go1.26.0"); err == nil || !strings.Contains(err.Error(), "a licence that is not known to go with ours: licence=AGPL-3.0") {
		t.Errorf("with a licence that does not go with ours: %v", err)
	}
}

func untar(t *testing.T, r io.Reader, dir string) {
	t.Helper()
	for a := tar.NewReader(r); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(when) {
			t.Errorf("%s is of %s", h.Name, h.ModTime)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, fs.FileMode(h.Mode)|0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, a); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), fs.FileMode(h.Mode)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, h.ModTime, h.ModTime); err != nil {
			t.Fatal(err)
		}
	}
}
