package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	seeds := flag.Int("seeds", 20, "seeds at most for each mutant")
	flag.Parse()
	if err := run(flag.Args(), *seeds); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

const (
	folder = "loadtest/sim/mutants/testdata"
	pkg    = "./loadtest/sim"
)

func run(names []string, seeds int) error {
	if len(names) == 0 {
		files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
		if err != nil || len(files) == 0 {
			return errors.Join(err, errors.New("no mutants: run it from the root of the repository"))
		}
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), ".txt"))
		}
	}
	var missed []string
	for _, name := range names {
		m, err := read(filepath.Join(folder, name+".txt"))
		if err != nil {
			return err
		}
		noticed, err := m.try(seeds)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case noticed == "":
			missed = append(missed, name)
			fmt.Printf("%-34s MISSED in %d seeds\n", name, seeds)
		default:
			fmt.Printf("%-34s %s\n", name, noticed)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("not noticed: %s", strings.Join(missed, ", "))
	}
	return nil
}

// mutant is one way to break the product.
type mutant struct {
	plan    string
	changes []change
}

type change struct{ file, old, now string }

// read parses a mutant's file.
func read(path string) (*mutant, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &mutant{}
	var c change
	var into *string
	for line := range strings.Lines(string(b)) {
		text := strings.TrimSuffix(line, "\n")
		switch {
		case text == "<<<<":
			into = &c.old
		case text == "====":
			into = &c.now
		case text == ">>>>":
			m.changes = append(m.changes, c)
			c, into = change{}, nil
		case into != nil:
			*into += line
		case strings.HasPrefix(text, "# plan: "):
			m.plan = strings.TrimPrefix(text, "# plan: ")
		case text == "" || strings.HasPrefix(text, "#"):
		default:
			c.file = text
		}
	}
	if len(m.changes) == 0 || m.plan == "" || into != nil {
		return nil, fmt.Errorf("not a mutant: file=%s", path)
	}
	return m, nil
}

// try builds the mutant and runs seeds until one is noticed. It returns how.
func (m *mutant) try(seeds int) (noticed string, err error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	overlay, err := m.lay(dir)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "sim.test")
	build := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", program, pkg)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	for seed := 1; seed <= seeds; seed++ {
		test := exec.Command(program, "-test.run", "^TestStorm$", "-sim.storm", m.plan, "-sim.seed", fmt.Sprint(seed), "-sim.patience", "2m")
		test.Dir = pkg
		out, err := test.CombinedOutput()
		if err == nil {
			continue
		}
		return fmt.Sprintf("noticed at seed %d: %s", seed, firstViolation(out)), nil
	}
	return "", nil
}

// lay writes the changed files and the overlay that names them.
func (m *mutant) lay(dir string) (string, error) {
	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for i, c := range m.changes {
		from, err := filepath.Abs(c.file)
		if err != nil {
			return "", err
		}
		path := from
		if before, ok := overlay.Replace[from]; ok {
			path = before
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if n := bytes.Count(b, []byte(c.old)); n != 1 {
			return "", fmt.Errorf("the text to replace is %d times in file=%s: the mutant has to follow the code", n, c.file)
		}
		to := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(to, bytes.Replace(b, []byte(c.old), []byte(c.now), 1), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[from] = to
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// firstViolation is the first line of a report that says what is wrong.
func firstViolation(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if text := strings.TrimSpace(line); strings.HasPrefix(text, "violation ") {
			return text
		}
	}
	return "the run did not end as it should"
}
