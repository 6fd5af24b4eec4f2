package helm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// property is what the table needs of a JSON schema.
type property struct {
	Description string              `json:"description"`
	Properties  map[string]property `json:"properties"`
	Enum        []any               `json:"enum"`
	Minimum     *float64            `json:"minimum"`
	Maximum     *float64            `json:"maximum"`
}

// Marks in the chart's README: what is between them is made.
const (
	tableBegins = "<!-- Made of values.schema.json and values.yaml. Do not edit what follows. -->\n"
	tableEnds   = "<!-- End of what was made. -->\n"
)

// Table returns the table of values: each leaf of the schema with its default.
func Table(schema []byte, defaults map[string]any) (string, error) {
	var root property
	if err := json.Unmarshal(schema, &root); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| value | default | what it is |\n|---|---|---|\n")
	rows(&b, "", root.Properties, defaults)
	return b.String(), nil
}

func rows(b *strings.Builder, prefix string, properties map[string]property, defaults map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p := properties[name]
		value, given := defaults[name]
		if below, ok := value.(map[string]any); ok && len(p.Properties) > 0 {
			if p.Description != "" {
				fmt.Fprintf(b, "| **%s%s** | | %s |\n", prefix, name, cell(p.Description))
			}
			rows(b, prefix+name+".", p.Properties, below)
			continue
		}
		if !given {
			continue // it is Helm's own
		}
		text, err := json.Marshal(value)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(b, "| `%s%s` | `%s` | %s%s |\n", prefix, name, cell(string(text)), cell(p.Description), allowed(&p))
	}
}

// allowed tells of the values that may be chosen from.
func allowed(p *property) string {
	switch {
	case len(p.Enum) > 0:
		var all []string
		for _, v := range p.Enum {
			if v == "" {
				v = "(empty)"
			}
			all = append(all, fmt.Sprint(v))
		}
		return " One of " + strings.Join(all, ", ") + "."
	case p.Minimum != nil && p.Maximum != nil:
		return fmt.Sprintf(" From %.0f to %.0f.", *p.Minimum, *p.Maximum)
	}
	return ""
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// WithTable puts the table into a README.
func WithTable(readme, table string) (string, error) {
	before, rest, ok := strings.Cut(readme, tableBegins)
	_, after, ended := strings.Cut(rest, tableEnds)
	if !ok || !ended {
		return "", fmt.Errorf("the README has no place for the table of values")
	}
	return before + tableBegins + "\n" + table + "\n" + tableEnds + after, nil
}
