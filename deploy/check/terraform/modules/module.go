package modules

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Module is what can be seen of a module from outside, in the order in which it is written.
type Module struct {
	Name      string // the directory's
	Terraform string // required_version
	Providers []Provider
	Variables []Variable
	Outputs   []Output
	Resources []string // type and name of resources and data sources, "data." before the latter; sorted
}

// Provider is an entry of required_providers.
type Provider struct {
	Name, Source, Version string
}

// Variable is an input.
type Variable struct {
	Name        string
	Description string
	Type        string   // as written, dedented
	Default     string   // as written, dedented; "" when it must be given
	Refusals    []string // error messages of its validations
	Sensitive   bool
}

// Output is a result.
type Output struct {
	Name        string
	Description string
	Sensitive   bool
}

// Load reads the .tf files of a directory.
func Load(dir string) (*Module, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no .tf files dir=%s", dir)
	}
	slices.Sort(paths)
	m := &Module{Name: filepath.Base(dir)}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := m.add(src, path); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(m.Providers, func(a, b Provider) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(m.Resources)
	return m, nil
}

func (m *Module) add(src []byte, path string) error {
	file, diags := hclparse.NewParser().ParseHCL(src, path)
	if diags.HasErrors() {
		return fmt.Errorf("parse: %w", diags)
	}
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		b := reader{block, src}
		switch block.Type {
		case "variable":
			v := Variable{Name: block.Labels[0], Description: b.text("description"), Type: b.source("type"), Default: b.source("default"), Sensitive: b.flag("sensitive")}
			for _, inner := range block.Body.Blocks {
				if inner.Type == "validation" {
					v.Refusals = append(v.Refusals, reader{inner, src}.text("error_message"))
				}
			}
			m.Variables = append(m.Variables, v)
		case "output":
			m.Outputs = append(m.Outputs, Output{Name: block.Labels[0], Description: b.text("description"), Sensitive: b.flag("sensitive")})
		case "resource":
			m.Resources = append(m.Resources, strings.Join(block.Labels, "."))
		case "data":
			m.Resources = append(m.Resources, "data."+strings.Join(block.Labels, "."))
		case "terraform":
			m.Terraform = b.text("required_version")
			for _, inner := range block.Body.Blocks {
				if inner.Type == "required_providers" {
					m.addProviders(inner)
				}
			}
		}
	}
	return nil
}

func (m *Module) addProviders(block *hclsyntax.Block) {
	for _, name := range slices.Sorted(maps.Keys(block.Body.Attributes)) {
		p := Provider{Name: name}
		value, diags := block.Body.Attributes[name].Expr.Value(nil)
		if !diags.HasErrors() && value.Type().IsObjectType() {
			for key, part := range value.AsValueMap() {
				if part.Type() != cty.String {
					continue
				}
				switch key {
				case "source":
					p.Source = part.AsString()
				case "version":
					p.Version = part.AsString()
				}
			}
		}
		m.Providers = append(m.Providers, p)
	}
}

// reader takes attributes out of a block.
type reader struct {
	block *hclsyntax.Block
	src   []byte
}

// text is the value of a string without references, "" when it is none.
func (r reader) text(name string) string {
	attr, ok := r.block.Body.Attributes[name]
	if !ok {
		return ""
	}
	value, diags := attr.Expr.Value(nil)
	if diags.HasErrors() || value.IsNull() || value.Type() != cty.String {
		// A message with references in it is shown as it is written.
		return strings.Trim(r.source(name), `"`)
	}
	return strings.Join(strings.Fields(value.AsString()), " ")
}

func (r reader) flag(name string) bool { return r.source(name) == "true" }

// source is the expression as it is written, with what all lines but the first have in front taken away.
func (r reader) source(name string) string {
	attr, ok := r.block.Body.Attributes[name]
	if !ok {
		return ""
	}
	return dedent(string(hcl.RangeBetween(attr.Expr.StartRange(), attr.Expr.Range()).SliceBytes(r.src)))
}

func dedent(text string) string {
	first, rest, found := strings.Cut(text, "\n")
	if !found {
		return text
	}
	lines := strings.Split(rest, "\n")
	indent := -1
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		n := len(line) - len(strings.TrimLeft(line, " "))
		if indent < 0 || n < indent {
			indent = n
		}
	}
	for i, line := range lines {
		lines[i] = line[min(max(indent, 0), len(line)):]
	}
	return first + "\n" + strings.Join(lines, "\n")
}
