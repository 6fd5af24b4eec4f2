package schema

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// maxDepth bounds the nesting of blocks. The deepest that is known has eleven.
const maxDepth = 32

var (
	// declaration begins a function, class or interface: always in the first column.
	declaration = regexp.MustCompile(`(?m)^export (?:abstract )?(function|class|interface) (\w+)`)
	resource    = regexp.MustCompile(`tfResourceType = "(\w+)"`)
	version     = regexp.MustCompile(`providerVersion: '([\w.+-]+)'`)
	// written is an entry of what can be set: how its value is made, and whether it is a block.
	written = regexp.MustCompile(`(?m)^ +(\w+): \{\n +value: (.*),\n +isBlock: (true|false),\n +type: "(\w+)",\n +storageClassType: "(\w+)",\n +\},$`)
	// made is the function that makes a value.
	made = regexp.MustCompile(`(cdktf\.)?(\w+)ToHclTerraform`)
	// braces is the comment above a member of an interface that is written with braces. What isBlock says is true of nested
	// attributes as well, which are written with an equals sign.
	braces = regexp.MustCompile(`(?m)^ +\* (\w+) block$`)
	// use is the comment above each member of a class.
	use = regexp.MustCompile(`(?m)^ +// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$`)
	// What follows it: a getter of something simple, or a member that is more than one value.
	getter = regexp.MustCompile(`(cdktf\.Fn\.tolist\()?this\.(?:get(\w+)Attribute|(interpolationForAttribute))\(`)
	mapped = regexp.MustCompile(`= new cdktf\.(\w+)\(this, "`)
	nested = regexp.MustCompile(`= new (\w+?)(List|Map|OutputReference)\(this, "\w+"(?:, (true|false))?\)`)
)

// Resource is what one directory of the typings holds.
type Resource struct {
	Type    string // google_compute_disk; of a provider its name
	Version string // of the provider
	Block   *Block
}

// Extract reads the TypeScript of a resource, a data source or a provider.
func Extract(ts string) (*Resource, error) {
	f := file(declarations(ts))
	for name, body := range f {
		found := resource.FindStringSubmatch(body)
		if found == nil {
			continue
		}
		r := &Resource{Type: found[1]}
		if v := version.FindStringSubmatch(body); v != nil {
			r.Version = v[1]
		}
		block, err := f.block(body, body, name+"Config", 0)
		if err != nil {
			return nil, fmt.Errorf("%w resource=%s", err, r.Type)
		}
		r.Block = block
		return r, nil
	}
	return nil, fmt.Errorf("no class of a resource is in the file")
}

// file is its functions, classes and interfaces by name.
type file map[string]string

// declarations cuts a file at what begins in its first column.
func declarations(ts string) map[string]string {
	all := make(map[string]string)
	found := declaration.FindAllStringSubmatchIndex(ts, -1)
	for i, at := range found {
		end := len(ts)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		all[ts[at[4]:at[5]]] = ts[at[0]:end]
	}
	return all
}

// block makes a schema of what writes, what reads, and the interface of both.
func (f file) block(writer, reader, face string, depth int) (*Block, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("blocks are nested too deep")
	}
	uses := make(map[string]Use)
	members := make(map[string]string)
	var order []string
	found := use.FindAllStringSubmatchIndex(reader, -1)
	for i, at := range found {
		end := len(reader)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		text := func(n int) string { return reader[at[2*n]:at[2*n+1]] }
		name := text(1)
		uses[name] = Use{Computed: text(2) == "true", Optional: text(3) == "true", Required: text(4) == "true"}
		members[name] = reader[at[1]:end]
		order = append(order, name)
	}
	braced := make(map[string]bool)
	for _, name := range braces.FindAllStringSubmatch(f[face], -1) {
		braced[name[1]] = true
	}
	b := &Block{Attributes: make(map[string]*Attribute), Blocks: make(map[string]*Nested)}
	for _, w := range written.FindAllStringSubmatch(writer, -1) {
		name, value, isBlock, nesting, class := w[1], w[2], w[3] == "true" && braced[w[1]], w[4], w[5]
		u, known := uses[name]
		if !known && isProvider(reader) {
			// A provider's members have no such comment where they are only written.
			u, known = Use{Optional: true}, true
		}
		if !known {
			return nil, fmt.Errorf("whose a member is is not told member=%s", name)
		}
		delete(members, name)
		if isBlock {
			inner, err := f.inner(value, depth)
			if err != nil {
				return nil, fmt.Errorf("%w member=%s", err, name)
			}
			n := &Nested{Nesting: nesting, Use: u, Block: inner}
			switch {
			case nesting == "struct":
				n.Nesting = "single"
			case nesting == "list" || nesting == "set":
				n.One = !strings.Contains(value, "listMapperHcl(")
			default:
				return nil, fmt.Errorf("unknown nesting of a block nesting=%s member=%s", nesting, name)
			}
			b.Blocks[name] = n
			continue
		}
		t, err := f.attribute(value, nesting, class, depth)
		if err != nil {
			return nil, fmt.Errorf("%w member=%s", err, name)
		}
		b.Attributes[name] = &Attribute{Type: t, Use: u}
	}
	// What is left can only be read.
	for _, name := range order {
		member, ok := members[name]
		if !ok {
			continue
		}
		t, err := f.readable(member, depth)
		if err != nil {
			return nil, fmt.Errorf("%w member=%s", err, name)
		}
		b.Attributes[name] = &Attribute{Type: t, Use: Use{Computed: true}}
	}
	return b, nil
}

func isProvider(class string) bool {
	return strings.Contains(class, "extends cdktf.TerraformProvider")
}

// inner is the block that the function in the expression of a value writes.
func (f file) inner(value string, depth int) (*Block, error) {
	found := made.FindStringSubmatch(value)
	if found == nil || found[1] != "" {
		return nil, fmt.Errorf("no function makes the block value=%s", value)
	}
	return f.object(found[2], depth)
}

// object is the block of a struct: its function writes it, its class reads it.
func (f file) object(name string, depth int) (*Block, error) {
	writer, ok := f[name+"ToHclTerraform"]
	if !ok {
		return nil, fmt.Errorf("no such function function=%sToHclTerraform", name)
	}
	reader, ok := f[upper(name)+"OutputReference"]
	if !ok {
		// Blocks of providers are only written: their interface tells what must be given.
		return f.face(writer, upper(name), depth)
	}
	return f.block(writer, reader, upper(name), depth+1)
}

// face is the block of a struct that has an interface and no class.
func (f file) face(writer, name string, depth int) (*Block, error) {
	body, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("no such interface interface=%s", name)
	}
	var comments strings.Builder
	for _, w := range written.FindAllStringSubmatch(writer, -1) {
		optional := strings.Contains(body, "readonly "+camel(w[1])+"?:")
		fmt.Fprintf(&comments, "  // %s - computed: false, optional: %t, required: %t\n", w[1], optional, !optional)
	}
	return f.block(writer, comments.String(), name, depth+1)
}

// attribute is the type of what is written with an equals sign.
func (f file) attribute(value, nesting, class string, depth int) (Type, error) {
	if nesting == "simple" {
		return primitive(class)
	}
	elem := Type{Kind: "object"}
	found := made.FindStringSubmatch(value)
	switch {
	case found == nil:
		// A collection of collections has a function of its own that is not called one.
		return collection(upper(class))
	case found[1] != "" && nesting == "struct":
		return primitive(lower(found[2]))
	case found[1] != "":
		t, err := collection(upper(class))
		if err == nil {
			t.Kind = nesting
		}
		return t, err
	}
	object, err := f.object(found[2], depth)
	if err != nil {
		return Type{}, err
	}
	elem.Object = object.flat()
	switch nesting {
	case "struct":
		return elem, nil
	case "list", "set", "map":
		return Type{Kind: nesting, Elem: &elem}, nil
	}
	return Type{}, fmt.Errorf("unknown nesting nesting=%s", nesting)
}

// readable is the type of a member that has only a getter.
func (f file) readable(member string, depth int) (Type, error) {
	if found := nested.FindStringSubmatch(member); found != nil {
		object, err := f.object(lower(found[1]), depth)
		if err != nil {
			return Type{}, err
		}
		t := Type{Kind: "object", Object: object.flat()}
		switch {
		case found[2] == "OutputReference":
			return t, nil
		case found[2] == "Map":
			return Type{Kind: "map", Elem: &t}, nil
		case found[3] == "true":
			return Type{Kind: "set", Elem: &t}, nil
		}
		return Type{Kind: "list", Elem: &t}, nil
	}
	if found := mapped.FindStringSubmatch(member); found != nil {
		return collection(found[1])
	}
	found := getter.FindStringSubmatch(member)
	if found == nil {
		return Type{}, fmt.Errorf("nothing reads the member")
	}
	t := Type{Kind: "dynamic"}
	var err error
	switch found[2] {
	case "":
	case "String", "Number", "Boolean":
		t, err = primitive(lower(found[2]))
	case "List":
		t, err = collection("StringList")
	default:
		t, err = collection(found[2])
	}
	if found[1] != "" {
		t.Kind = "set"
	}
	return t, err
}

func primitive(class string) (Type, error) {
	switch class {
	case "string", "number":
		return Type{Kind: class}, nil
	case "boolean":
		return Type{Kind: "bool"}, nil
	case "any":
		return Type{Kind: "dynamic"}, nil
	}
	return Type{}, fmt.Errorf("unknown type class=%s", class)
}

// collection is the type that a name such as StringMap, NumberList or StringListList stands for.
func collection(name string) (Type, error) {
	for _, c := range []string{"List", "Map", "Set"} {
		elem, ok := strings.CutSuffix(name, c)
		if !ok || elem == "" {
			continue
		}
		of, err := collection(elem)
		if err != nil {
			of, err = primitive(lower(elem))
		}
		return Type{Kind: strings.ToLower(c), Elem: &of}, err
	}
	return Type{}, fmt.Errorf("unknown collection class=%s", name)
}

// flat is a block of which everything is an attribute, as it is when it is not written with braces of its own.
func (b *Block) flat() *Block {
	flat := &Block{Attributes: make(map[string]*Attribute)}
	for name, a := range b.Attributes {
		flat.Attributes[name] = a
	}
	for name, n := range b.Blocks {
		t := Type{Kind: "object", Object: n.Block.flat()}
		if n.Nesting != "single" {
			elem := t
			t = Type{Kind: n.Nesting, Elem: &elem}
		}
		flat.Attributes[name] = &Attribute{Type: t, Use: n.Use}
	}
	return flat
}

func lower(name string) string {
	r := []rune(name)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}

func upper(name string) string {
	r := []rune(name)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

// camel spells a name as TypeScript has it: use_msi becomes useMsi.
func camel(name string) string {
	var b strings.Builder
	for i, part := range strings.Split(name, "_") {
		if i > 0 && part != "" {
			part = upper(part)
		}
		b.WriteString(part)
	}
	return b.String()
}
