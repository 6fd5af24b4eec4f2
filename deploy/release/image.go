package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// imageUser is the user of the image, and its group: the one that images from scratch have by habit.
const imageUser = 65532

// rootsModule is where the authorities of the image come from.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// authorities is Mozilla's list, as PEM. An authority that is trusted only for certificates of a certain age is left out: a file of
// certificates cannot say so.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return b.Bytes()
}

// image makes an OCI image from nothing: one layer with the files beside the program, one with the program.
func (r *release) image(arch string, content *content) (v1.Image, error) {
	root := func(path string, text []byte) node { return node{path: path, mode: 0o644, content: text} }
	dir := func(path string, mode int64, owner int) node {
		return node{path: path, mode: mode, uid: owner, gid: owner, dir: true}
	}
	base := []node{
		dir("etc", 0o755, 0), dir("etc/ssl", 0o755, 0), dir("etc/ssl/certs", 0o755, 0), dir("etc/tideline", 0o755, 0),
		root("etc/passwd", fmt.Appendf(nil, "root:x:0:0:root:/:/none\ntideline:x:%d:%d:Tideline:/var/lib/tideline:/none\n", imageUser, imageUser)),
		root("etc/group", fmt.Appendf(nil, "root:x:0:\ntideline:x:%d:\n", imageUser)),
		root("etc/ssl/certs/ca-certificates.crt", authorities()),
		root("etc/tideline/tideline.yaml", content.imageSettings),
		dir("tmp", 0o1777, 0), dir("usr", 0o755, 0), dir("usr/share", 0o755, 0), dir("usr/share/doc", 0o755, 0), dir("usr/share/doc/tideline", 0o755, 0),
		root("usr/share/doc/tideline/LICENSE", content.licence), root("usr/share/doc/tideline/"+noticesName, content.notices),
		dir("var", 0o755, 0), dir("var/lib", 0o755, 0), dir("var/lib/tideline", 0o750, imageUser),
	}
	program := []node{dir("usr", 0o755, 0), dir("usr/bin", 0o755, 0), {path: "usr/bin/tideline", mode: 0o755, content: content.program}}

	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	created := v1.Time{Time: r.when.UTC()}
	for _, l := range []struct {
		what  string
		nodes []node
	}{{"authorities, settings, licences", base}, {"/usr/bin/tideline", program}} {
		layer, diff, err := r.layer(l.nodes)
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: &gzipped{layer, diff}, History: v1.History{Created: created, CreatedBy: "make release", Comment: l.what}})
		if err != nil {
			return nil, err
		}
	}
	was, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c := was.DeepCopy()
	c.Architecture, c.OS, c.Created, c.Author = arch, "linux", created, "The Tideline authors"
	c.Config = v1.Config{
		User: fmt.Sprintf("%d:%d", imageUser, imageUser), Entrypoint: []string{"/usr/bin/tideline"}, Cmd: []string{"server", "--config", "/etc/tideline/tideline.yaml"},
		WorkingDir: "/var/lib/tideline", Volumes: map[string]struct{}{"/var/lib/tideline": {}}, StopSignal: "SIGTERM",
		ExposedPorts: map[string]struct{}{"9092/tcp": {}, "9093/tcp": {}, "8080/tcp": {}},
		Labels: map[string]string{
			"org.opencontainers.image.title": "tideline", "org.opencontainers.image.description": "A broker that speaks the Kafka protocol, with history in an object store",
			"org.opencontainers.image.version": r.version, "org.opencontainers.image.revision": r.source.commit,
			"org.opencontainers.image.created": created.Format("2006-01-02T15:04:05Z"), "org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.source": home, "org.opencontainers.image.url": home,
		},
	}
	return mutate.ConfigFile(img, c)
}

// layer is a compressed archive, and the digest of what it was before.
func (r *release) layer(nodes []node) (v1.Layer, v1.Hash, error) {
	var plain, small bytes.Buffer
	if err := writeTar(&plain, nodes, r.when); err != nil {
		return nil, v1.Hash{}, err
	}
	diff, _, err := v1.SHA256(bytes.NewReader(plain.Bytes()))
	if err != nil {
		return nil, v1.Hash{}, err
	}
	if err := writeTarGz(&small, nodes, r.when); err != nil {
		return nil, v1.Hash{}, err
	}
	return static.NewLayer(small.Bytes(), types.OCILayer), diff, nil
}

// gzipped is a layer of compressed bytes that knows what they are of.
type gzipped struct {
	v1.Layer
	diff v1.Hash
}

func (g *gzipped) DiffID() (v1.Hash, error) { return g.diff, nil }

// imageArchive puts the image into one file: the layout of OCI, and beside it the index that docker has always loaded, of the same blobs.
func (r *release) imageArchive(img v1.Image) (archive []byte, err error) {
	stage, err := os.MkdirTemp("", "tideline-image-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	path, err := layout.Write(stage, empty.Index)
	if err != nil {
		return nil, err
	}
	tag := strings.ReplaceAll(r.version, "~", "-") // the only byte of ours that a tag may not have
	name := "docker.io/library/tideline:" + tag
	err = path.AppendImage(img, layout.WithAnnotations(map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}))
	if err != nil {
		return nil, err
	}
	old, err := dockerIndex(img, "tideline:"+tag)
	if err != nil {
		return nil, err
	}
	nodes := []node{{path: "manifest.json", mode: 0o644, content: old}}
	root := os.DirFS(stage)
	err = walk(root, func(name string, isDir bool) error {
		if isDir {
			nodes = append(nodes, node{path: name, mode: 0o755, dir: true})
			return nil
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(f)
		nodes = append(nodes, node{path: filepath.ToSlash(name), mode: 0o644, content: b})
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := writeTar(&b, nodes, r.when); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// dockerIndex is manifest.json of docker save.
func dockerIndex(img v1.Image, tag string) ([]byte, error) {
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	var layers []string
	for _, l := range m.Layers {
		layers = append(layers, blob(l.Digest))
	}
	return json.Marshal([]struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{blob(m.Config.Digest), []string{tag}, layers}})
}
