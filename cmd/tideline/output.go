package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
)

// output is how a command shows its answer.
type output string

const (
	outputTable output = "table"
	outputJSON  output = "json"
)

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "table|json" }

// Set is called for --output.
func (o *output) Set(text string) error {
	switch v := output(text); v {
	case outputTable, outputJSON:
		*o = v
		return nil
	}
	return fmt.Errorf("allowed are table and json")
}

func (o *output) flag(flags *pflag.FlagSet) {
	*o = outputTable
	flags.VarP(o, "output", "o", "how to print")
}

// table is rows of cells under a head.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

// show prints value as JSON, or the tables; several are parted by an empty line.
func (p *program) show(how output, value any, tables ...*table) error {
	if how == outputJSON {
		text, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", text)
		return err
	}
	for i, t := range tables {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, strings.Join(t.head, "\t"))
		for _, row := range t.rows {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// joined writes numbers with commas.
func joined[T any](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ",")
}
