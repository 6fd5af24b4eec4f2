package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxProfile bounds a profile, inflated.
const maxProfile = 256 << 20

// profile is what a broker says of itself in the format of pprof: where it was, and what of it was counted there.
type profile struct {
	kinds   []string // of values: "cpu", "alloc_space"
	samples []sample
	names   map[uint64][]string // of the functions at a location, the innermost first
}

type sample struct {
	at     []uint64 // locations, the innermost first
	values []int64  // one of each kind
}

// The fields of a profile that are read (github.com/google/pprof, proto/profile.proto):
//
//	Profile   1 sample_type: ValueType   2 sample: Sample   4 location: Location   5 function: Function   6 string_table
//	ValueType 1 type, an index into string_table
//	Sample    1 location_id ...   2 value ...
//	Location  1 id   4 line: Line
//	Line      1 function_id
//	Function  1 id   2 name, an index into string_table
func parseProfile(raw []byte) (*profile, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(z, maxProfile))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	p := &profile{names: map[uint64][]string{}}
	var kinds []uint64
	var texts []string
	functions, lines := map[uint64]uint64{}, map[uint64][]uint64{}
	err = eachField(b, func(number protowire.Number, v uint64, inner []byte) error {
		var one message
		if number != 6 {
			if err := one.parse(inner); err != nil {
				return err
			}
		}
		switch number {
		case 1:
			kinds = append(kinds, one.first(1))
		case 2:
			s := sample{at: one.numbers[1]}
			for _, v := range one.numbers[2] {
				s.values = append(s.values, int64(v))
			}
			p.samples = append(p.samples, s)
		case 4:
			for _, b := range one.inner[4] {
				var line message
				if err := line.parse(b); err != nil {
					return err
				}
				lines[one.first(1)] = append(lines[one.first(1)], line.first(1))
			}
		case 5:
			functions[one.first(1)] = one.first(2)
		case 6:
			texts = append(texts, string(inner))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	text := func(i uint64) string {
		if i >= uint64(len(texts)) {
			return ""
		}
		return texts[i]
	}
	for _, k := range kinds {
		p.kinds = append(p.kinds, text(k))
	}
	for id, all := range lines {
		for _, f := range all {
			p.names[id] = append(p.names[id], text(functions[f]))
		}
	}
	return p, nil
}

// sum adds up the values of a kind, by what a name is given to each stack of functions, the innermost first.
func (p *profile) sum(kind string, nameOf func(stack []string) string) (map[string]float64, error) {
	column := -1
	for i, k := range p.kinds {
		if k == kind {
			column = i
		}
	}
	if column < 0 {
		return nil, fmt.Errorf("profile has no %s but %s", kind, strings.Join(p.kinds, ", "))
	}
	sums := map[string]float64{}
	var stack []string
	for _, s := range p.samples {
		if column >= len(s.values) {
			return nil, fmt.Errorf("profile: a sample has %d values of %d", len(s.values), len(p.kinds))
		}
		stack = stack[:0]
		for _, at := range s.at {
			stack = append(stack, p.names[at]...)
		}
		sums[nameOf(stack)] += float64(s.values[column])
	}
	return sums, nil
}

// message is what a message of protobuf has in it, by the numbers of its fields.
type message struct {
	numbers map[protowire.Number][]uint64
	inner   map[protowire.Number][][]byte
}

// parse takes a list of numbers that is packed for such, too: those of a sample are.
func (m *message) parse(b []byte) error {
	m.numbers, m.inner = map[protowire.Number][]uint64{}, map[protowire.Number][][]byte{}
	return eachField(b, func(number protowire.Number, v uint64, inner []byte) error {
		if inner == nil {
			m.numbers[number] = append(m.numbers[number], v)
			return nil
		}
		m.inner[number] = append(m.inner[number], inner)
		for rest := inner; len(rest) > 0; {
			v, n := protowire.ConsumeVarint(rest)
			if n < 0 {
				break // it is no list
			}
			m.numbers[number] = append(m.numbers[number], v)
			rest = rest[n:]
		}
		return nil
	})
}

func (m *message) first(number protowire.Number) uint64 {
	if of := m.numbers[number]; len(of) > 0 {
		return of[0]
	}
	return 0
}

// eachField calls f with the fields of a message: a number, or what is not nil.
func eachField(b []byte, f func(number protowire.Number, v uint64, inner []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var inner []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			inner, n = protowire.ConsumeBytes(b)
			if n >= 0 && inner == nil {
				inner = []byte{}
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := f(number, v, inner); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
