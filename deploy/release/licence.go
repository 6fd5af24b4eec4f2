package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// texts are names of files that have a licence, or what a licence wants to be passed on.
var texts = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright|patents)([-._].*)?$`)

// accepted are licences that go with Apache-2.0 in a program that is handed out, as long as their texts come along.
var accepted = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Unlicense"}

// grants are texts beside a licence that only give: of Google's patents. They have no name in SPDX.
var grants = []string{"GooglePatentClause", "GooglePatentsFile"}

// part is a module that is in the program, or Go itself, with its licences.
type part struct {
	module, version string
	licences        []string          // SPDX identifiers, sorted
	texts           map[string][]byte // by name
}

// parts collects the modules of packages with their licences, sorted by path. The texts are those beside the packages, and in the folders
// above them.
func parts(packs []pack, goroot, goVersion string) ([]part, error) {
	packs = append(slices.Clone(packs), pack{module: "std", version: goVersion, moduleDir: goroot, dir: goroot})
	byModule := map[string]*part{}
	for _, p := range packs {
		one := byModule[p.module]
		if one == nil {
			one = &part{module: p.module, version: p.version, texts: map[string][]byte{}}
			byModule[p.module] = one
		}
		if err := one.collect(p); err != nil {
			return nil, fmt.Errorf("%w module=%s", err, p.module)
		}
	}
	var all []part
	for _, one := range byModule {
		if err := one.judge(); err != nil {
			return nil, fmt.Errorf("%w module=%s", err, one.module)
		}
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b part) int { return cmp.Compare(a.module, b.module) })
	return all, nil
}

// collect reads the texts between a package and the root of its module.
func (o *part) collect(p pack) error {
	below, err := filepath.Rel(p.moduleDir, p.dir)
	if err != nil || !filepath.IsLocal(below) {
		return errors.Join(err, errors.New("a package lies outside of its module"))
	}
	for {
		entries, err := os.ReadDir(filepath.Join(p.moduleDir, below))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			name := filepath.ToSlash(filepath.Join(below, entry.Name()))
			if !entry.Type().IsRegular() || !texts.MatchString(entry.Name()) || strings.HasSuffix(name, ".go") || o.texts[name] != nil {
				continue
			}
			text, err := fs.ReadFile(os.DirFS(p.moduleDir), name)
			if err != nil {
				return err
			}
			o.texts[name] = text
		}
		if below == "." {
			return nil
		}
		below = filepath.Dir(below)
	}
}

// judge tells the licences from the texts, and refuses what is not accepted.
func (o *part) judge() error {
	found := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(o.texts)) {
		for _, m := range licensecheck.Scan(o.texts[name]).Match {
			if m.IsURL || slices.Contains(grants, m.ID) {
				continue // a page that is referred to is no licence either
			}
			if !slices.Contains(accepted, m.ID) {
				return fmt.Errorf("a licence that is not known to go with ours: licence=%s file=%s", m.ID, name)
			}
			found[m.ID] = true
		}
	}
	if len(found) == 0 {
		return errors.New("no licence is known")
	}
	o.licences = slices.Sorted(maps.Keys(found))
	return nil
}

// notices is the file that goes with the program: each text once, with the modules that have it.
func notices(all []part) []byte {
	var order []string
	users := map[string][]string{}
	for _, p := range all {
		for _, name := range slices.Sorted(maps.Keys(p.texts)) {
			text := string(bytes.TrimSpace(bytes.ReplaceAll(p.texts[name], []byte("\r\n"), []byte("\n"))))
			if _, seen := users[text]; !seen {
				order = append(order, text)
			}
			users[text] = append(users[text], p.title()+" "+name)
		}
	}
	var b bytes.Buffer
	b.WriteString("Tideline contains the software that is named here, under the licences that follow. The sources of a module are those\n" +
		"of its version, unchanged, as the Go module proxy has them.\n")
	for _, text := range order {
		b.WriteString("\n" + strings.Repeat("-", 100) + "\n")
		for _, user := range users[text] {
			b.WriteString(user + "\n")
		}
		b.WriteString("\n" + text + "\n")
	}
	return b.Bytes()
}

func (o *part) title() string {
	if o.module == "std" {
		return "Go " + strings.TrimPrefix(o.version, "go")
	}
	return o.module + " " + o.version
}
