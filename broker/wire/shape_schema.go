package wire

import "math"

// schema describes the body of one API's requests, in all versions from min to
// max. It is data: shape_table*.go have the schemas, compile makes of each the
// steps that a walker takes.
type schema struct {
	key      int16
	min, max int16
	fields   []field
}

// field is one field of a structure. It is there in the versions since to last.
type field struct {
	name        string
	kind        kind
	size        int     // fixed: bytes on the wire
	elem        *field  // list: what it is a list of
	fields      []field // array, object: what the structure has
	since, last int16
	nullSince   int16 // the first version in which null is allowed
}

// kind says how a field is encoded.
type kind uint8

const (
	kindFixed  kind = iota // size bytes
	kindString             // a string: int16 length, or compact
	kindBytes              // bytes: int32 length, or compact
	kindList               // an array of something that is not a structure
	kindArray              // an array of structures
	kindStruct             // one structure, behind a byte that tells it from null
)

// noVersion is after every version.
const noVersion = math.MaxInt16

func newField(name string, k kind) field {
	return field{name: name, kind: k, last: noVersion, nullSince: noVersion}
}

func fixedField(name string, size int) field {
	f := newField(name, kindFixed)
	f.size = size
	return f
}

// The types of Kafka's schema language.
func boolean(name string) field { return fixedField(name, 1) }
func i8(name string) field      { return fixedField(name, 1) }
func i16(name string) field     { return fixedField(name, 2) }
func i32(name string) field     { return fixedField(name, 4) }
func i64(name string) field     { return fixedField(name, 8) }
func f64(name string) field     { return fixedField(name, 8) }
func guid(name string) field    { return fixedField(name, 16) }
func chars(name string) field   { return newField(name, kindString) }
func octets(name string) field  { return newField(name, kindBytes) }

func listOf(elem field) field {
	f := newField(elem.name, kindList)
	f.elem = &elem
	return f
}

func arrayOf(name string, fields ...field) field {
	f := newField(name, kindArray)
	f.fields = fields
	return f
}

func structure(name string, fields ...field) field {
	f := newField(name, kindStruct)
	f.fields = fields
	return f
}

// from and until bound the versions that have the field.
func (f field) from(version int16) field  { f.since = version; return f }
func (f field) until(version int16) field { f.last = version; return f }

// null allows null from a version on.
func (f field) null(version int16) field { f.nullSince = version; return f }

// step is what a walker does for one field, or for several of fixed size in a row.
type step struct {
	path     string // of the field, with dots, for errors
	kind     kind
	nullable bool
	size     int   // fixed: bytes; list, array: the least bytes of an element
	memory   int64 // list, array: bytes of a decoded element; object: of the structure
	elem     *step // list
	steps    *steps
}

// steps walk one structure.
type steps struct {
	list  []step
	tags  bool // tagged fields follow
	least int  // the least bytes that the structure takes
	// memory is the size of the decoded structure, without what it points at.
	memory int64
	// constant structures have fields of fixed size only: n of them are n times least.
	constant bool
}

// Bytes of Go values on a 64-bit machine. Every scalar counts as a word, which
// covers padding.
const (
	wordBytes   = 8
	stringBytes = 16
	sliceBytes  = 24
)

// compile makes the steps of fields in one version.
func compile(fields []field, version int16, flexible bool, path string) *steps {
	s := &steps{tags: flexible, constant: !flexible, memory: wordBytes} // a word for the unknown tags
	if flexible {
		s.least = 1
	}
	for i := range fields {
		f := &fields[i]
		s.memory += f.held() // decoded structures have the fields of all versions
		if version < f.since || version > f.last {
			continue
		}
		st := f.compile(version, flexible, path)
		s.least += f.least(&st, flexible)
		s.constant = s.constant && f.kind == kindFixed
		if n := len(s.list); n > 0 && f.kind == kindFixed && s.list[n-1].kind == kindFixed {
			s.list[n-1].size += st.size
			continue
		}
		s.list = append(s.list, st)
	}
	return s
}

// compile makes the step of one field.
func (f *field) compile(version int16, flexible bool, path string) step {
	st := step{path: path + f.name, kind: f.kind, nullable: version >= f.nullSince, size: f.size}
	switch f.kind {
	case kindList:
		elem := f.elem.compile(version, flexible, path)
		st.elem, st.size, st.memory = &elem, f.elem.least(&elem, flexible), f.elem.held()
		if f.elem.kind == kindFixed {
			st.memory = int64(f.elem.size)
		}
	case kindArray, kindStruct:
		st.steps = compile(f.fields, version, flexible, st.path+".")
		st.size, st.memory = st.steps.least, st.steps.memory
	}
	return st
}

// least is the least number of bytes that the field takes on the wire.
func (f *field) least(st *step, flexible bool) int {
	switch {
	case f.kind == kindFixed:
		return st.size
	case flexible || f.kind == kindStruct:
		return 1
	case f.kind == kindString:
		return 2
	}
	return 4
}

// held is what the field takes within a decoded structure.
func (f *field) held() int64 {
	switch f.kind {
	case kindFixed:
		return int64(max(f.size, wordBytes))
	case kindString:
		if f.nullSince != noVersion {
			return wordBytes
		}
		return stringBytes
	case kindStruct:
		return wordBytes
	}
	return sliceBytes
}
