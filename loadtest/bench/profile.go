package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// maxProfile bounds a profile, inflated.
const maxProfile = 256 << 20

// parseProfile reads what a broker says of itself in the format of pprof.
func parseProfile(raw []byte) (*profile.Profile, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(z, maxProfile))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	p, err := profile.ParseUncompressed(b)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return p, nil
}

// sumProfile adds up the values of a kind ("cpu", "alloc_space"), by what a name is given to each stack of functions, the innermost first.
func sumProfile(p *profile.Profile, kind string, nameOf func(stack []string) string) (map[string]float64, error) {
	column := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == kind })
	if column < 0 {
		var kinds []string
		for _, t := range p.SampleType {
			kinds = append(kinds, t.Type)
		}
		return nil, fmt.Errorf("profile has no %s but %s", kind, strings.Join(kinds, ", "))
	}
	sums := map[string]float64{}
	var stack []string
	for _, s := range p.Sample {
		stack = stack[:0]
		for _, at := range s.Location {
			for _, line := range at.Line {
				if line.Function != nil {
					stack = append(stack, line.Function.Name)
				}
			}
		}
		sums[nameOf(stack)] += float64(s.Value[column])
	}
	return sums, nil
}
