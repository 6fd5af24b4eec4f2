package cloudinit

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those of Terraform that the module uses, and no others.
func functions(dir string) map[string]function.Function {
	f := map[string]function.Function{
		"can":          tryfunc.CanFunc,
		"chomp":        stdlib.ChompFunc,
		"compact":      stdlib.CompactFunc,
		"concat":       stdlib.ConcatFunc,
		"contains":     stdlib.ContainsFunc,
		"floor":        stdlib.FloorFunc,
		"indent":       stdlib.IndentFunc,
		"join":         stdlib.JoinFunc,
		"jsonencode":   stdlib.JSONEncodeFunc,
		"keys":         stdlib.KeysFunc,
		"length":       stdlib.LengthFunc,
		"lookup":       stdlib.LookupFunc,
		"merge":        stdlib.MergeFunc,
		"regex":        stdlib.RegexFunc,
		"replace":      stdlib.ReplaceFunc,
		"sort":         stdlib.SortFunc,
		"tostring":     stdlib.MakeToFunc(cty.String),
		"values":       stdlib.ValuesFunc,
		"alltrue":      all,
		"base64gzip":   text(func(s string) (string, error) { return s, nil }), // how it is packed is Terraform's affair
		"file":         text(func(path string) (string, error) { b, err := os.ReadFile(path); return string(b), err }),
		"endswith":     ask(strings.HasSuffix),
		"strcontains":  ask(strings.Contains),
		"templatefile": function.New(&function.Spec{}), // below
	}
	f["templatefile"] = template(f, dir)
	return f
}

// all is alltrue.
var all = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		for _, v := range args[0].AsValueSlice() {
			if v.False() {
				return cty.False, nil
			}
		}
		return cty.True, nil
	},
})

func text(do func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := do(args[0].AsString())
			return cty.StringVal(s), err
		},
	})
}

func ask(question func(s, what string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "what", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(question(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// template is templatefile, for files of the module alone.
func template(all map[string]function.Function, dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "values", Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			if !strings.HasPrefix(filepath.Clean(path), filepath.Clean(dir)+string(filepath.Separator)) {
				return cty.NilVal, os.ErrPermission
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return cty.NilVal, err
			}
			expr, diags := hclsyntax.ParseTemplate(b, path, hcl.InitialPos)
			if diags.HasErrors() {
				return cty.NilVal, diags
			}
			value, diags := expr.Value(&hcl.EvalContext{Variables: args[1].AsValueMap(), Functions: all})
			if diags.HasErrors() {
				return cty.NilVal, diags
			}
			return value, nil
		},
	})
}
