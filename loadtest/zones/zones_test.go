//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/tidelinehq/tideline/internal/devtools"
)

// The ways in which a list of sources names a mirror, and what is none.
func TestMirror(t *testing.T) {
	for _, test := range []struct{ list, want string }{
		{"deb http://mirror.example/debian bookworm main\n", "http://mirror.example/debian"},
		{"# deb http://old.example bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian bookworm main contrib\n", "https://mirror.example/debian"},
		{"deb [ arch=amd64 ] http://mirror.example bookworm main\n", "http://mirror.example"},
		{"deb http://security.example bookworm-security main\ndeb http://mirror.example trixie main\n", ""},
		{"Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n", "http://mirror.example/debian"},
		{"Types: deb\nURIs: http://security.example\nSuites: bookworm-security\n\nTypes: deb\n# here\nURIs: http://mirror.example\nSuites: bookworm\n", "http://mirror.example"},
		{"Types: deb\nURIs: http://other.example\n\nSuites: bookworm\n", ""},
		{"deb\ndeb [\ndeb http://mirror.example\n", ""},
		{"", ""},
	} {
		if got := mirrorIn(test.list); got != test.want {
			t.Errorf("%q: %q, expected %q", test.list, got, test.want)
		}
	}
}

// Each variable that is given to the module is one that it has.
func TestVariables(t *testing.T) {
	root, err := devtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "terraform", "modules", "cloudinit", "variables.tf"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"source": true}
	for _, m := range regexp.MustCompile(`(?m)^variable "([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
		known[m[1]] = true
	}
	modules := configuration("module", "http://packages.example/p.deb", "00")["module"].(map[string]any)
	if len(modules) != zones {
		t.Errorf("modules=%d expected=%d", len(modules), zones)
	}
	for name, module := range modules {
		for variable := range module.(map[string]any) {
			if !known[variable] {
				t.Errorf("%s: the module has no variable %s", name, variable)
			}
		}
	}
}

// What a machine is given goes by the names by which its user data refers to it.
func TestSecretsAreThere(t *testing.T) {
	o := &options{Dir: t.TempDir()}
	if err := certify(o); err != nil {
		t.Fatal(err)
	}
	secrets, err := secretsOf(o, planOf(2))
	if err != nil {
		t.Fatal(err)
	}
	node := regexp.MustCompile(`\{node\}`)
	for _, references := range []map[string]any{environmentReferences(), certificateReferences()} {
		for to, from := range references {
			name := node.ReplaceAllString(from.(string), "2")[len("file:"+imageSecrets):]
			if secrets[name] == "" {
				t.Errorf("%s comes of %s, which the machine does not have", to, from)
			}
		}
	}
}
