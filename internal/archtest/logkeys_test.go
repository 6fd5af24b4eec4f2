package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logKeysPage lists the keys that lines of the log may have, one in each row of its table.
const logKeysPage = "docs/operations/logs.md"

// firstKey is where the keys begin in the arguments of a method of slog.Logger, and whether a message stands before them.
var firstKey = map[string]struct {
	at      int
	message bool
}{
	"Debug": {1, true}, "Info": {1, true}, "Warn": {1, true}, "Error": {1, true},
	"DebugContext": {2, true}, "InfoContext": {2, true}, "WarnContext": {2, true}, "ErrorContext": {2, true},
	"Log": {3, true}, "log": {2, true}, "With": {0, false},
}

// attributes are the functions of slog that make one, by its key.
var attributes = []string{"Any", "Bool", "Duration", "Float64", "Int", "Int64", "String", "Time", "Uint64", "Group"}

// TestLogKeysAreFixed: who searches logs must know by which key to find something, and that it is the same everywhere. So the keys of the
// program's lines are those of the page, and those of the page are used.
func TestLogKeysAreFixed(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(logKeysPage)))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{} // and whether it is used
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if _, twice := listed[row[1]]; twice {
			t.Errorf("%s has %s twice", logKeysPage, row[1])
		}
		listed[row[1]] = false
	}
	for _, f := range sources(t) {
		if top(f.dir) == "loadtest" || top(f.dir) == "docs" {
			continue
		}
		files := token.NewFileSet()
		name := f.dir + "/" + f.name
		parsed, err := parser.ParseFile(files, filepath.Join(root, filepath.FromSlash(name)), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, key := range logKeys(call) {
				if _, known := listed[key]; !known {
					t.Errorf("%s:%d: %q is no key of %s: use one that is there, or add it", name, files.Position(call.Pos()).Line, key, logKeysPage)
				}
				listed[key] = true
			}
			return true
		})
	}
	for key, used := range listed {
		if !used && key != "trace_id" && key != "span_id" && !slices.Contains([]string{"time", "level", "msg"}, key) {
			t.Errorf("%s has %s, which no line has", logKeysPage, key)
		}
	}
}

// logKeys returns the keys that a call gives to a line, when it is one of a logger's.
func logKeys(call *ast.CallExpr) (keys []string) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if of, ok := method.X.(*ast.Ident); ok && of.Name == "slog" && slices.Contains(attributes, method.Sel.Name) && len(call.Args) > 0 {
		if key, ok := literal(call.Args[0]); ok {
			return []string{key}
		}
		return nil
	}
	first, ok := firstKey[method.Sel.Name]
	if !ok || len(call.Args) < first.at {
		return nil
	}
	if first.message {
		if l, ok := call.Args[first.at-1].(*ast.BasicLit); !ok || l.Kind != token.STRING {
			return nil // of something else, as http.Error and testing.T
		}
	}
	for i := first.at; i < len(call.Args); i++ {
		if key, ok := literal(call.Args[i]); ok {
			keys = append(keys, key)
			i++ // its value
		}
	}
	return keys
}

func literal(e ast.Expr) (string, bool) {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, err := strconv.Unquote(l.Value)
		return s, err == nil && !strings.ContainsAny(s, " %")
	}
	return "", false
}
