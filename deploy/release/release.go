package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"
)

// noticesName is the file with the licences of what is in the program.
const noticesName = "THIRD-PARTY.txt"

// release is one making of everything.
type release struct {
	source  *source
	version string    // of the packages, made of the source's
	when    time.Time // the time of all files
	out     string
	archs   []string
	made    []artifact
}

// artifact is one file that is handed out.
type artifact struct {
	name string
	size int
	sum  [sha256.Size]byte
}

// content is what archives, packages and images have in them.
type content struct {
	program                     []byte
	unit, settings, environment []byte // for machines
	imageSettings               []byte // for containers
	licence, notices            []byte
	docs                        []doc
	parts                       []part // of the program
}

// doc is a page that goes along.
type doc struct {
	name string
	text []byte
}

// make makes everything, and says what.
func (r *release) make(ctx context.Context, out io.Writer) (err error) {
	if r.version, err = packageVersion(r.source.version, r.when); err != nil {
		return err
	}
	if r.source.commit == "" || r.when.Unix() <= 0 {
		return errors.New("commit and epoch must be given: a release says what it was made of")
	}
	if err := r.clear(); err != nil {
		return err
	}
	stage, err := os.MkdirTemp("", "tideline-release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	for _, arch := range r.archs {
		c, err := r.build(ctx, arch, filepath.Join(stage, arch))
		if err != nil {
			return err
		}
		if err := r.pack(arch, c); err != nil {
			return err
		}
	}
	if err := r.sums(); err != nil {
		return err
	}
	for _, a := range r.made {
		fmt.Fprintf(out, "%x  %9d  %s\n", a.sum[:6], a.size, filepath.Join(r.out, a.name))
	}
	return nil
}

// clear removes what a former release has left, and nothing else.
func (r *release) clear() error {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(r.out, "tideline_*"))
	if err != nil {
		return err
	}
	for _, path := range append(old, filepath.Join(r.out, sumsName)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// build makes the program, and collects what goes with it.
func (r *release) build(ctx context.Context, arch, path string) (*content, error) {
	built, err := r.source.program(ctx, arch, path)
	if err != nil {
		return nil, err
	}
	c := &content{}
	if c.program, err = os.ReadFile(path); err != nil {
		return nil, err
	}
	packs, err := r.source.packages(ctx, arch)
	if err != nil {
		return nil, err
	}
	goroot, err := r.source.goroot(ctx)
	if err != nil {
		return nil, err
	}
	if c.parts, err = parts(packs, goroot, built.GoVersion); err != nil {
		return nil, err
	}
	if err := sameModules(built.Deps, c.parts); err != nil {
		return nil, err
	}
	c.notices = notices(c.parts)
	return c, r.collect(c)
}

// sameModules holds what the go command listed against what the program says itself that it was built of.
func sameModules(deps []*debug.Module, all []part) error {
	listed := map[string]string{}
	for _, p := range all {
		listed[p.module] = p.version
	}
	for _, m := range deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if listed[m.Path] != m.Version {
			return fmt.Errorf("the program has a module that was not looked at: module=%s version=%s listed=%q", m.Path, m.Version, listed[m.Path])
		}
	}
	return nil
}

// collect reads the files of the repository that go along.
func (r *release) collect(c *content) error {
	for path, to := range map[string]*[]byte{
		"deploy/systemd/tideline.service": &c.unit, "deploy/systemd/tideline.yaml": &c.settings, "deploy/systemd/tideline.default": &c.environment,
		"deploy/image/tideline.yaml": &c.imageSettings, "LICENSE": &c.licence,
	} {
		var err error
		if *to, err = r.source.read(path); err != nil {
			return err
		}
	}
	for _, path := range []string{"README.md", "CHANGELOG.md", "docs/configuration.md", "docs/commands.md", "docs/security.md"} {
		text, err := r.source.read(path)
		if err != nil {
			return err
		}
		c.docs = append(c.docs, doc{filepath.Base(path), text})
	}
	return nil
}

// pack makes all that is handed out for one architecture.
func (r *release) pack(arch string, c *content) error {
	linux := fmt.Sprintf("tideline_%s_linux_%s", r.version, arch)
	var archive bytes.Buffer
	if err := writeTarGz(&archive, c.tree(linux), r.when); err != nil {
		return err
	}
	if err := r.write(linux+".tar.gz", archive.Bytes()); err != nil {
		return err
	}
	bill, err := r.bill(linux, "tideline", c.program, c.parts)
	if err != nil {
		return err
	}
	if err := r.write(linux+".spdx.json", bill); err != nil {
		return err
	}
	debian, err := r.deb(arch, c)
	if err != nil {
		return err
	}
	if err := r.write(fmt.Sprintf("tideline_%s_%s.deb", r.version, arch), debian); err != nil {
		return err
	}
	image := fmt.Sprintf("tideline_%s_image_%s", r.version, arch)
	img, err := r.image(arch, c)
	if err != nil {
		return err
	}
	packed, err := r.imageArchive(img)
	if err != nil {
		return err
	}
	if err := r.write(image+".tar", packed); err != nil {
		return err
	}
	roots, err := rootsPart()
	if err != nil {
		return err
	}
	if bill, err = r.bill(image, image+".tar", packed, append(slices.Clone(c.parts), roots)); err != nil {
		return err
	}
	return r.write(image+".spdx.json", bill)
}

// tree is the archive for machines without packages, below one directory.
func (c *content) tree(top string) []node {
	nodes := []node{
		{path: top, mode: 0o755, dir: true},
		{path: top + "/bin", mode: 0o755, dir: true}, {path: top + "/bin/tideline", mode: 0o755, content: c.program},
		{path: top + "/systemd", mode: 0o755, dir: true}, {path: top + "/systemd/tideline.service", mode: 0o644, content: c.unit},
		{path: top + "/etc", mode: 0o755, dir: true}, {path: top + "/etc/tideline.yaml", mode: 0o644, content: c.settings},
		{path: top + "/etc/tideline.default", mode: 0o644, content: c.environment},
		{path: top + "/LICENSE", mode: 0o644, content: c.licence}, {path: top + "/" + noticesName, mode: 0o644, content: c.notices},
		{path: top + "/docs", mode: 0o755, dir: true},
	}
	for _, d := range c.docs {
		path := top + "/docs/" + d.name
		if d.name == "README.md" {
			path = top + "/" + d.name
		}
		nodes = append(nodes, node{path: path, mode: 0o644, content: d.text})
	}
	return nodes
}

// rootsPart is the list of authorities as a part of the image. Its version is the one that this program was built with.
func rootsPart() (part, error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range info.Deps {
			if m.Path == rootsModule {
				return part{module: m.Path, version: m.Version, licences: []string{"BSD-3-Clause", "MPL-2.0"}}, nil
			}
		}
	}
	return part{}, fmt.Errorf("this program does not know where its authorities are from: module=%s", rootsModule)
}

// write writes one artifact. Its name is there when all of it is.
func (r *release) write(name string, b []byte) error {
	stage := filepath.Join(r.out, "."+name)
	if err := os.WriteFile(stage, b, 0o644); err != nil { // to be handed out
		return err
	}
	if err := os.Rename(stage, filepath.Join(r.out, name)); err != nil {
		return err
	}
	r.made = append(r.made, artifact{name, len(b), sha256.Sum256(b)})
	return nil
}

const sumsName = "SHA256SUMS"

// sums writes the checksums in the form that sha256sum -c reads.
func (r *release) sums() error {
	slices.SortFunc(r.made, func(a, b artifact) int { return cmp.Compare(a.name, b.name) })
	var b bytes.Buffer
	for _, a := range r.made {
		fmt.Fprintf(&b, "%x  %s\n", a.sum, a.name)
	}
	return os.WriteFile(filepath.Join(r.out, sumsName), b.Bytes(), 0o644)
}

// walk visits all files and directories below a root, in order.
func walk(root fs.FS, visit func(name string, isDir bool) error) error {
	return fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return visit(name, d.IsDir())
	})
}
