package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/deploy/check/terraform/modules"
	"github.com/tidelinehq/tideline/deploy/check/terraform/schema"
)

// maxFile bounds one file of the typings. The largest has 9 MiB.
const maxFile = 64 << 20

// used are the types of resources, and with "data." before them of data sources, that modules have.
func used(dirs []string) (map[string]bool, error) {
	types := make(map[string]bool)
	for _, dir := range dirs {
		m, err := modules.Load(dir)
		if err != nil {
			return nil, err
		}
		for _, r := range m.Resources {
			types[r[:strings.LastIndexByte(r, '.')]] = true
		}
	}
	return types, nil
}

var archiveName = regexp.MustCompile(`^cdktf-provider-([a-z]+)-[\d.]+\.tgz$`)

// read takes the schema of what is wanted out of an archive.
func read(archive string, wanted map[string]bool) (*schema.Provider, error) {
	found := archiveName.FindStringSubmatch(filepath.Base(archive))
	if found == nil {
		return nil, fmt.Errorf("the archive has no name that is known")
	}
	p := &schema.Provider{Name: found[1], Resources: make(map[string]*schema.Block), Data: make(map[string]*schema.Block)}
	dirs := map[string]string{"provider": ""}
	for kind := range wanted {
		bare, isData := strings.CutPrefix(kind, "data.")
		rest, ours := strings.CutPrefix(bare, p.Name+"_")
		switch {
		case !ours:
		case isData:
			dirs["data-"+strings.ReplaceAll(bare, "_", "-")] = kind
		default:
			dirs[strings.ReplaceAll(rest, "_", "-")] = kind
		}
	}
	err := each(archive, func(name string, file io.Reader) error {
		dir, isIndex := strings.CutSuffix(strings.TrimPrefix(name, "package/lib/"), "/index.js")
		kind, wanted := dirs[dir]
		if !isIndex || !wanted {
			return nil
		}
		delete(dirs, dir)
		return add(p, kind, file)
	})
	if err != nil {
		return nil, err
	}
	if len(dirs) > 0 {
		return nil, fmt.Errorf("the provider has no such resource or data source types=%v", slices.Sorted(maps.Values(dirs)))
	}
	return p, nil
}

func add(p *schema.Provider, kind string, file io.Reader) error {
	js, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return err
	}
	ts, err := schema.Source(string(js))
	if err != nil {
		return fmt.Errorf("%w type=%s", err, kind)
	}
	r, err := schema.Extract(ts)
	if err != nil {
		return fmt.Errorf("%w type=%s", err, kind)
	}
	switch bare, isData := strings.CutPrefix(kind, "data."); {
	case kind == "":
		p.Config, p.Version = r.Block, r.Version
	case bare != r.Type:
		return fmt.Errorf("the file is of another type type=%s is=%s", kind, r.Type)
	case isData:
		p.Data[bare] = r.Block
	default:
		p.Resources[bare] = r.Block
	}
	return nil
}

// each calls f for each file of an archive.
func each(archive string, f func(name string, file io.Reader) error) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it is only read
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(h.Name, files); err != nil {
			return err
		}
	}
}

// schemaFile lies beside the program in the mirror.
const schemaFile = "schema.json"

// put writes a provider into the mirror, in the layout that Terraform calls unpacked.
func put(p *schema.Provider, mirror string) error {
	dir := filepath.Join(mirror, "registry.terraform.io", "hashicorp", p.Name, p.Version, runtime.GOOS+"_"+runtime.GOARCH)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, schemaFile), text, 0o644); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "terraform-provider-"+p.Name+"_v"+p.Version), program, 0o755)
}
