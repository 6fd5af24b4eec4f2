package schema

// Provider is the schema of a provider, as far as it was asked for.
type Provider struct {
	Name      string            // google
	Version   string            // of the provider from which the typings were generated
	Config    *Block            // of the provider block
	Resources map[string]*Block // google_compute_disk → its schema
	Data      map[string]*Block // of data sources
}

// Block is what stands between two braces.
type Block struct {
	Attributes map[string]*Attribute `json:",omitempty"`
	Blocks     map[string]*Nested    `json:",omitempty"`
}

// Attribute is a name with a value.
type Attribute struct {
	Type Type
	Use
}

// Nested is a block within a block.
type Nested struct {
	Nesting string // list, set or single
	One     bool   `json:",omitempty"` // there is one at most
	Use
	Block *Block
}

// Use tells whose an attribute is. At least one is set.
type Use struct {
	Required bool `json:",omitempty"`
	Optional bool `json:",omitempty"`
	Computed bool `json:",omitempty"`
}

// Type is that of an attribute.
type Type struct {
	Kind   string // string, number, bool, dynamic, list, set, map, object
	Elem   *Type  `json:",omitempty"` // of list, set and map
	Object *Block `json:",omitempty"` // of object: attributes only
}
