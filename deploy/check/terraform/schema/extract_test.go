package schema

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/widget.json anew")

func widget(t *testing.T) string {
	t.Helper()
	ts, err := os.ReadFile("testdata/widget.ts")
	if err != nil {
		t.Fatal(err)
	}
	return string(ts)
}

func TestExtract(t *testing.T) {
	r, err := Extract(widget(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Type != "example_widget" || r.Version != "1.2.3" {
		t.Errorf("type=%s version=%s", r.Type, r.Version)
	}
	got, err := json.MarshalIndent(r.Block, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile("testdata/widget.json", append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/widget.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Errorf("the schema is:\n%s", got)
	}
}

func TestExtractRefuses(t *testing.T) {
	ts := widget(t)
	for what, change := range map[string]struct{ old, new string }{
		"no resource":         {`tfResourceType = "example_widget"`, ""},
		"a type unknown":      {`storageClassType: "string",`, `storageClassType: "complex128",`},
		"a function missing":  {"function widgetBootToHclTerraform", "function widgetShoeToHclTerraform"},
		"a use missing":       {"// labels - computed", "// tags - computed"},
		"a getter unreadable": {"this.getBooleanAttribute('ready')", "undefined"},
	} {
		changed := strings.Replace(ts, change.old, change.new, 1)
		if changed == ts {
			t.Fatalf("%s: nothing changed", what)
		}
		if r, err := Extract(changed); err == nil {
			t.Errorf("%s: there is a schema: %+v", what, r)
		}
	}
	// A block that is in itself has no end.
	endless := strings.Replace(ts, "cdktf.stringToHclTerraform(struct!.mode),\n      isBlock: false,\n      type: \"simple\"", "widgetDiskToHclTerraform(struct!.mode),\n      isBlock: true,\n      type: \"list\"", 1)
	if _, err := Extract(endless); err == nil || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("a block in itself: error is %v", err)
	}
}

func TestSource(t *testing.T) {
	encode := func(text string) string {
		return "code();\n//# sourceMappingURL=data:application/json;base64," + base64.StdEncoding.EncodeToString([]byte(text)) + "\n"
	}
	if got, err := Source(encode(`{"sourcesContent":["export class A {}"]}`)); err != nil || got != "export class A {}" {
		t.Errorf("source is %q, %v", got, err)
	}
	for what, js := range map[string]string{
		"no map":      "code();",
		"not base64":  "//# sourceMappingURL=data:application/json;base64,!",
		"not JSON":    encode("{"),
		"two sources": encode(`{"sourcesContent":["a","b"]}`),
	} {
		if got, err := Source(js); err == nil {
			t.Errorf("%s: source is %q", what, got)
		}
	}
}
