package modules

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// values is a part of the chart's schema: what may be below a value.
type values struct {
	Properties           map[string]*values `json:"properties"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
}

// open tells whether any name may be below it.
func (v *values) open() bool { return string(v.AdditionalProperties) != "false" }

// TestTheChartTakesTheValues holds the names that the module gives the chart against the schema of its values. The chart itself refuses
// values that are wrong by more than their name.
func TestTheChartTakesTheValues(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "../deploy/helm/tideline/values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema values
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	names := 0
	var walk func(path string, given *hclsyntax.ObjectConsExpr, known *values)
	walk = func(path string, given *hclsyntax.ObjectConsExpr, known *values) {
		for _, item := range given.Items {
			key := hcl.ExprAsKeyword(item.KeyExpr)
			if key == "" {
				t.Fatalf("%s: a name that is not a word: %s", path, item.KeyExpr.Range())
			}
			names++
			below := known.Properties[key]
			if below == nil {
				if !known.open() {
					t.Errorf("the chart has no value %s", path+key)
				}
				continue
			}
			if inner, ok := item.ValueExpr.(*hclsyntax.ObjectConsExpr); ok {
				walk(path+key+".", inner, below)
			}
		}
	}
	walk("", localObject(t, filepath.Join(root, "modules/kubernetes/main.tf"), "values"), &schema)
	if names < 20 {
		t.Errorf("only %d names were looked at", names)
	}
}

// localObject is the object that a local value of a file is written as.
func localObject(t *testing.T, path, name string) *hclsyntax.ObjectConsExpr {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCLFile(path)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		if attr := block.Body.Attributes[name]; block.Type == "locals" && attr != nil {
			if object, ok := attr.Expr.(*hclsyntax.ObjectConsExpr); ok {
				return object
			}
		}
	}
	t.Fatalf("%s has no local object %s", path, name)
	return nil
}
