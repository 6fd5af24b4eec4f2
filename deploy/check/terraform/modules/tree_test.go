package modules

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the folder that all modules and examples lie in.
const root = "../../../../terraform"

// clouds have the same variables and outputs; the first is the one that others are held against.
var clouds = []string{"aws", "gcp", "azure"}

// notApplied are the modules whose providers cannot be had where this is tested.
var notApplied = []string{"gcp", "azure", "kubernetes"}

// dirs are the folders below root that have .tf files, without what Terraform leaves behind.
func dirs(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".terraform":
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".tf"):
			all = append(all, filepath.Dir(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Compact(all)
}

func load(t *testing.T, dir string) *Module {
	t.Helper()
	m, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEverythingIsDescribed(t *testing.T) {
	for _, dir := range dirs(t) {
		m := load(t, dir)
		for _, v := range m.Variables {
			if v.Description == "" || v.Type == "" {
				t.Errorf("%s: variable %s has no description or no type", dir, v.Name)
			}
		}
		for _, o := range m.Outputs {
			if o.Description == "" {
				t.Errorf("%s: output %s has no description", dir, o.Name)
			}
		}
	}
}

func TestReadmesAreUpToDate(t *testing.T) {
	for _, dir := range dirs(t) {
		if !strings.HasPrefix(dir, filepath.Join(root, "modules")) {
			continue
		}
		readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		filled, err := Fill(readme, load(t, dir).Page())
		if err != nil {
			t.Errorf("%s: %v", dir, err)
		} else if !bytes.Equal(readme, filled) {
			t.Errorf("%s/README.md is out of date; run: make terraform-docs", dir)
		}
	}
}

func TestWhatWasNotAppliedSaysSo(t *testing.T) {
	for _, name := range notApplied {
		readme, err := os.ReadFile(filepath.Join(root, "modules", name, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(readme, []byte("not applied by us")) {
			t.Errorf("%s/README.md does not say that the module was not applied by us", name)
		}
	}
}

// cloudOnly begins, in variables.tf of a cloud, those variables that others do not have.
const cloudOnly = "# What follows is of this cloud only."

// shared are the variables that come before that line, in their order.
func shared(t *testing.T, cloud string) []Variable {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(root, "modules", cloud, "variables.tf"))
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := bytes.Cut(src, []byte(cloudOnly))
	if !ok {
		t.Fatalf("%s/variables.tf has no line %q", cloud, cloudOnly)
	}
	var m Module
	if err := m.add(head, "variables.tf"); err != nil {
		t.Fatal(err)
	}
	return m.Variables
}

// memberName is that of a member of an object, in a type as it is written.
var memberName = regexp.MustCompile(`(?m)^\s+(\w+)\s+=`)

func members(v Variable) []string {
	var names []string
	for _, found := range memberName.FindAllStringSubmatch(v.Type, -1) {
		names = append(names, found[1])
	}
	return names
}

func TestCloudsHaveTheSameVariables(t *testing.T) {
	want := shared(t, clouds[0])
	for _, cloud := range clouds[1:] {
		got := shared(t, cloud)
		if len(got) != len(want) {
			t.Errorf("%s has %d shared variables, %s has %d", cloud, len(got), clouds[0], len(want))
			continue
		}
		for i, v := range got {
			if v.Name != want[i].Name {
				t.Errorf("%s: variable %d is %s, in %s it is %s", cloud, i+1, v.Name, clouds[0], want[i].Name)
			} else if !slices.Equal(members(v), members(want[i])) {
				t.Errorf("%s: %s has the members %v, in %s %v", cloud, v.Name, members(v), clouds[0], members(want[i]))
			}
		}
	}
}

// sameWords are the variables that mean the same everywhere, and so are described and checked in the same words.
var sameWords = []string{"name", "node_count", "voters", "package", "settings", "telemetry", "peers"}

func TestCloudsUseTheSameWords(t *testing.T) {
	byName := func(cloud string) map[string]Variable {
		all := make(map[string]Variable)
		for _, v := range shared(t, cloud) {
			all[v.Name] = v
		}
		return all
	}
	want := byName(clouds[0])
	for _, cloud := range clouds[1:] {
		got := byName(cloud)
		for _, name := range sameWords {
			a, b := want[name], got[name]
			if a.Description != b.Description || a.Default != b.Default || a.Type != b.Type || !slices.Equal(a.Refusals, b.Refusals) {
				t.Errorf("%s: variable %s differs from that of %s:\n%+v\n%+v", cloud, name, clouds[0], b, a)
			}
		}
	}
}

// sameOutputs are those that every cloud has.
var sameOutputs = []string{"bootstrap_servers", "brokers", "scrape_targets", "bucket", "object_store", "network", "user_data", "nodes_to_replace", "try_next"}

func TestCloudsHaveTheSameOutputs(t *testing.T) {
	for _, cloud := range clouds {
		m := load(t, filepath.Join(root, "modules", cloud))
		for _, name := range sameOutputs {
			if !slices.ContainsFunc(m.Outputs, func(o Output) bool { return o.Name == name }) {
				t.Errorf("%s has no output %s", cloud, name)
			}
		}
	}
}

// suppressed is a finding of a linter that is not to be reported.
var suppressed = regexp.MustCompile(`checkov:skip=(\w+)(:?)\s*(.*)|tflint-ignore(?:-file)?:\s*(\w+)(\s*#?)\s*(.*)`)

func TestSuppressedFindingsHaveAReason(t *testing.T) {
	for _, dir := range dirs(t) {
		paths, err := filepath.Glob(filepath.Join(dir, "*.tf"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(src)) {
				found := suppressed.FindStringSubmatch(strings.TrimSpace(line))
				if found != nil && len(strings.Fields(found[3]+found[6])) < 3 {
					t.Errorf("%s: %s is suppressed without a reason beside it", path, found[1]+found[4])
				}
			}
		}
	}
}
