package cloudinit

import (
	"fmt"
	"path/filepath"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// Module is a module without resources.
type Module struct {
	dir       string
	variables map[string]variable
	locals    map[string]hclsyntax.Expression
	outputs   map[string]hclsyntax.Expression
	functions map[string]function.Function
}

// variable is a block of that name.
type variable struct {
	kind     cty.Type
	defaults *typeexpr.Defaults // of optional attributes
	fallback *cty.Value         // the default; nil: it must be given
	rules    []rule
}

// rule is a validation of a variable.
type rule struct {
	condition, message hclsyntax.Expression
}

// Load parses the module in a directory.
func Load(dir string) (*Module, error) {
	m := &Module{dir: dir, variables: map[string]variable{}, locals: map[string]hclsyntax.Expression{}, outputs: map[string]hclsyntax.Expression{}}
	m.functions = functions(dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no module: dir=%s", dir)
	}
	parser := hclparse.NewParser()
	for _, path := range files {
		f, diags := parser.ParseHCLFile(path)
		if diags.HasErrors() {
			return nil, diags
		}
		for _, b := range f.Body.(*hclsyntax.Body).Blocks {
			if err := m.take(b); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (m *Module) take(b *hclsyntax.Block) error {
	switch b.Type {
	case "terraform":
		return nil
	case "variable":
		v, err := m.variable(b)
		if err != nil {
			return err
		}
		m.variables[b.Labels[0]] = v
		return nil
	case "locals":
		for name, a := range b.Body.Attributes {
			m.locals[name] = a.Expr
		}
		return nil
	case "output":
		m.outputs[b.Labels[0]] = b.Body.Attributes["value"].Expr
		return nil
	}
	return fmt.Errorf("a block that a module without resources does not have: type=%s at=%s", b.Type, b.Range())
}

func (m *Module) variable(b *hclsyntax.Block) (variable, error) {
	kind, defaults, diags := typeexpr.TypeConstraintWithDefaults(b.Body.Attributes["type"].Expr)
	if diags.HasErrors() {
		return variable{}, diags
	}
	v := variable{kind: kind, defaults: defaults}
	if a, ok := b.Body.Attributes["default"]; ok {
		value, diags := a.Expr.Value(nil)
		if diags.HasErrors() {
			return variable{}, diags
		}
		v.fallback = &value
	}
	for _, r := range b.Body.Blocks {
		if r.Type != "validation" {
			return variable{}, fmt.Errorf("a block that variables do not have: type=%s at=%s", r.Type, r.Range())
		}
		v.rules = append(v.rules, rule{condition: r.Body.Attributes["condition"].Expr, message: r.Body.Attributes["error_message"].Expr})
	}
	return v, nil
}

// Render gives the outputs for values of the variables.
func (m *Module) Render(given map[string]cty.Value) (map[string]cty.Value, error) {
	values := map[string]cty.Value{}
	for name, v := range m.variables {
		value, ok := given[name]
		if !ok {
			if v.fallback == nil {
				return nil, fmt.Errorf("a variable is missing: name=%s", name)
			}
			value = *v.fallback
		}
		if v.defaults != nil {
			value = v.defaults.Apply(value)
		}
		value, err := convert.Convert(value, v.kind)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		values[name] = value
	}
	for name := range given {
		if _, ok := m.variables[name]; !ok {
			return nil, fmt.Errorf("no such variable: name=%s", name)
		}
	}
	e := &evaluation{m: m, values: values, locals: map[string]cty.Value{}, open: map[string]bool{}}
	for _, name := range sorted(m.variables) {
		for _, r := range m.variables[name].rules {
			held, err := e.value(r.condition)
			if err != nil {
				return nil, err
			}
			if held.False() {
				message, err := e.value(r.message)
				if err != nil {
					return nil, err
				}
				return nil, &RefusedError{Variable: name, Message: message.AsString()}
			}
		}
	}
	outputs := map[string]cty.Value{}
	for _, name := range sorted(m.outputs) {
		value, err := e.value(m.outputs[name])
		if err != nil {
			return nil, err
		}
		outputs[name] = value
	}
	return outputs, nil
}

// RefusedError says that a variable does not keep to one of its rules.
type RefusedError struct {
	Variable, Message string
}

func (e *RefusedError) Error() string { return e.Variable + ": " + e.Message }

// evaluation is one rendering. Locals are evaluated when something needs them.
type evaluation struct {
	m      *Module
	values map[string]cty.Value
	locals map[string]cty.Value
	open   map[string]bool // being evaluated, to tell circles
}

func (e *evaluation) value(expr hclsyntax.Expression) (cty.Value, error) {
	for _, t := range expr.Variables() {
		if t.RootName() != "local" {
			continue
		}
		step, ok := t[1].(hcl.TraverseAttr)
		if !ok {
			return cty.NilVal, fmt.Errorf("local without a name: at=%s", t.SourceRange())
		}
		if err := e.local(step.Name); err != nil {
			return cty.NilVal, err
		}
	}
	value, diags := expr.Value(&hcl.EvalContext{
		Variables: map[string]cty.Value{
			"var":   cty.ObjectVal(e.values),
			"local": cty.ObjectVal(e.locals),
			"path":  cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(e.m.dir)}),
		},
		Functions: e.m.functions,
	})
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return value, nil
}

func (e *evaluation) local(name string) error {
	if _, done := e.locals[name]; done {
		return nil
	}
	expr, ok := e.m.locals[name]
	if !ok {
		return fmt.Errorf("no such local: name=%s", name)
	}
	if e.open[name] {
		return fmt.Errorf("locals go in a circle: name=%s", name)
	}
	e.open[name] = true
	value, err := e.value(expr)
	if err != nil {
		return err
	}
	e.locals[name] = value
	return nil
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
