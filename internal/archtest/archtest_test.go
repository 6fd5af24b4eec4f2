package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tidelinehq/tideline"

// ranks of the top folders; see doc.go.
var ranks = map[string]int{
	"cmd": 3, "loadtest": 3, "docs": 3,
	"broker":  2,
	"tiering": 1, "metadata": 1, "wal": 1,
	"internal": 0,
}

// rims are the third-party modules and the folders that may import them. A
// module that is not listed, a new one, belongs nowhere until a folder is
// named for it here. The longest matching module counts.
var rims = map[string][]string{
	"github.com/anishathalye/porcupine":     {"loadtest/verify/linear"},
	"github.com/aws/":                       {"tiering/objstore/awss3"},
	"github.com/minio/minio-go/":            {"tiering/objstore/minios3"},
	"github.com/cenkalti/backoff/":          {"tiering/objstore", "broker"},
	"github.com/google/uuid":                {"broker", "metadata", "tiering", "cmd", "loadtest"},
	"github.com/google/go-cmp/":             {"broker/brokertest", "tiering/objstore/objstoretest", "metadata/metadatatest", "loadtest"},
	"github.com/hashicorp/raft":             {"metadata/quorum"},
	"github.com/hashicorp/go-hclog":         {"metadata/quorum"},
	"github.com/hashicorp/go-metrics":       {"metadata/quorum"},
	"go.etcd.io/bbolt":                      {"metadata/quorum"},
	"github.com/klauspost/compress":         {"internal/record", "internal/codec", "tiering/segment", "tiering/manifest", "metadata"},
	"github.com/pierrec/lz4/":               {"internal/record", "internal/codec"},
	"github.com/knadh/koanf/":               {"broker/config"},
	"github.com/prometheus/client_golang/":  {"broker", "tiering", "metadata", "wal", "loadtest"},
	"github.com/google/pprof/":              {"loadtest"},
	"github.com/schollz/progressbar/":       {"cmd", "loadtest"},
	"github.com/spf13/":                     {"cmd", "loadtest"},
	"github.com/tidwall/btree":              {"metadata", "broker", "tiering", "wal"},
	"github.com/twmb/franz-go/":             {"cmd", "loadtest", "broker/gateway", "broker/brokertest"},
	"github.com/twmb/franz-go/pkg/kmsg":     {"broker/api", "broker/coordinator", "broker/gateway", "broker/brokertest", "cmd", "loadtest"},
	"github.com/twmb/franz-go/pkg/kerr":     {"broker/api", "broker/coordinator", "broker/gateway", "broker/brokertest", "cmd", "loadtest"},
	"github.com/twmb/franz-go/pkg/kversion": {"broker/api", "cmd", "loadtest"},
	"go.opentelemetry.io/otel":              {"broker", "tiering", "wal", "metadata", "loadtest"},
	"go.opentelemetry.io/otel/sdk":          {"broker/telemetry", "loadtest"},
	"go.opentelemetry.io/otel/exporters":    {"broker/telemetry"},
	"go.opentelemetry.io/proto/otlp/":       {"broker/telemetry", "loadtest", "internal/otlptest"},
	"google.golang.org/grpc":                {"broker/telemetry", "internal/otlptest"},
	"google.golang.org/protobuf/":           {"internal/otlphttp", "broker/telemetry", "loadtest", "internal/otlptest"},
	"go.opentelemetry.io/contrib/bridges/":  {"broker/telemetry"},
	"github.com/go-jose/go-jose/":           {"broker/security/sasl"},
	"github.com/xdg-go/scram":               {"broker/security/sasl"},
	"software.sslmate.com/src/go-pkcs12":    {"broker/security/transport", "internal/pki"},
	"golang.org/x/sync/":                    {"broker", "tiering", "metadata", "wal", "cmd", "loadtest"},
	"golang.org/x/sys/":                     {"internal/vfs", "broker/server", "internal/offheap", "tiering/objstore/dirstore", "broker/config", "loadtest"},
	"golang.org/x/term":                     {"cmd"},
	"golang.org/x/time/":                    {"broker", "tiering", "metadata", "loadtest"},
}

// goFile is a source file of the module, without its tests.
type goFile struct {
	dir     string // below the root, with slashes
	name    string
	imports []string
	doc     *ast.CommentGroup
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			if problem := check(f.dir, imported); problem != "" {
				t.Errorf("%s/%s: %s", f.dir, f.name, problem)
			}
		}
	}
}

func TestEveryPackageHasAPage(t *testing.T) {
	pages := map[string]*ast.CommentGroup{}
	for _, f := range sources(t) {
		if f.name == "doc.go" {
			pages[f.dir] = f.doc
		} else if _, known := pages[f.dir]; !known {
			pages[f.dir] = nil
		}
	}
	for dir, page := range pages {
		if page == nil {
			t.Errorf("%s has no doc.go with a package comment", dir)
		}
	}
}

func TestFoldersHaveNames(t *testing.T) {
	for _, f := range sources(t) {
		for part := range strings.SplitSeq(f.dir, "/") {
			if slices.Contains([]string{"pkg", "util", "utils", "common", "helper", "helpers", "misc"}, part) {
				t.Errorf("%s: %q says nothing of what is in there", f.dir, part)
			}
		}
	}
}

// The rules themselves: each of these must be refused, or let through.
func TestRules(t *testing.T) {
	for _, bad := range [][2]string{
		{"wal", module + "/broker"}, {"wal", module + "/tiering"}, {"tiering/cache", module + "/metadata"}, {"metadata", module + "/wal"},
		{"internal/record", module + "/wal"}, {"broker", module + "/cmd/tideline"}, {"broker/api", module + "/loadtest/bench"},
		{"cmd/tideline", module + "/loadtest/bench"}, {"top", module + "/wal"}, {"wal", module + "/top"},
		{"metadata", "github.com/hashicorp/raft"}, {"tiering/objstore", "github.com/minio/minio-go/v7"}, {"broker/partition", "github.com/twmb/franz-go/pkg/kmsg"},
		{"broker/api", "github.com/twmb/franz-go/pkg/kgo"}, {"wal", "go.opentelemetry.io/otel/sdk/trace"}, {"cmd/tideline", "github.com/new/module"},
		{"internal/record", "github.com/prometheus/client_golang/prometheus"}, {"metadata/quorumx", "github.com/hashicorp/raft"},
	} {
		if check(bad[0], bad[1]) == "" {
			t.Errorf("%s may import %s", bad[0], bad[1])
		}
	}
	for _, good := range [][2]string{
		{"cmd/tideline", module + "/broker"}, {"broker", module + "/wal"}, {"broker/api", module + "/broker/wire"}, {"tiering", module + "/internal/vfs"},
		{"tiering", module + "/tiering/cache"}, {"metadata/quorum", "github.com/hashicorp/raft"}, {"broker/api", "github.com/twmb/franz-go/pkg/kmsg"},
		{"wal", "context"}, {"wal", "crypto/sha256"}, {"internal/record", "github.com/klauspost/compress/zstd"}, {"loadtest/bench", module + "/broker"},
	} {
		if problem := check(good[0], good[1]); problem != "" {
			t.Errorf("%s may not import %s: %s", good[0], good[1], problem)
		}
	}
}

// check says what is wrong with a folder's import, or nothing.
func check(dir, imported string) string {
	if inner, ours := strings.CutPrefix(imported, module+"/"); ours {
		from, to := top(dir), top(inner)
		fromRank, known := ranks[from]
		toRank, knownTo := ranks[to]
		switch {
		case !known || !knownTo:
			return fmt.Sprintf("import of %s: a top folder has no rank in archtest", imported)
		case from != to && toRank >= fromRank:
			return fmt.Sprintf("import of %s points up or sideways: %s is of rank %d, %s of rank %d", imported, from, fromRank, to, toRank)
		}
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // standard library
	}
	rim := ""
	for prefix := range rims {
		if strings.HasPrefix(imported, prefix) && len(prefix) > len(rim) {
			rim = prefix
		}
	}
	if rim == "" {
		return fmt.Sprintf("import of %s: no folder is named for this module in archtest", imported)
	}
	for _, folder := range rims[rim] {
		if dir == folder || strings.HasPrefix(dir, folder+"/") {
			return ""
		}
	}
	return fmt.Sprintf("import of %s: only %s may", imported, strings.Join(rims[rim], ", "))
}

func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// sources parses the imports of every source file of the module.
func sources(t *testing.T) []goFile {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var files []goFile
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if file != root && skipped(file, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		one := goFile{dir: path.Dir(filepath.ToSlash(relative)), name: path.Base(filepath.ToSlash(relative)), doc: f.Doc}
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			one.imports = append(one.imports, imported)
		}
		files = append(files, one)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files were found below %s", len(files), root)
	}
	return files
}

// skipped are folders that are not ours, and modules of their own.
func skipped(dir, name string) bool {
	if name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
