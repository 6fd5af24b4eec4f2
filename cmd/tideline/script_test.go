package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into testdata")

// TestScripts runs testdata/*.txt. A script is a list of commands, each followed
// by the lines of its standard input (after "< "), by "----", and by what it
// prints: standard output as it is, standard error after "! ", and the exit
// status when it is not 0. Each script has a fake cluster of its own, with one
// broker, and an admin API that answers from testdata/admin. What differs from
// run to run is replaced: addresses, group members, times.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if got == string(text) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s differs (go test ./cmd/tideline -rewrite accepts it):\n%s", path, got)
		})
	}
}

// runScript returns the script with what its commands print now.
func runScript(t *testing.T, script string) string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("test-cluster"), kfake.DefaultNumPartitions(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	admin := httptest.NewServer(http.HandlerFunc(adminAnswer))
	defer admin.Close()
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	dir := t.TempDir()
	clean := func(s string) string {
		s = strings.ReplaceAll(s, brokers, "BROKERS")
		s = strings.ReplaceAll(s, strings.Split(brokers, ":")[1], "PORT")
		s = strings.ReplaceAll(s, strings.TrimPrefix(admin.URL, "http://"), "ADMIN")
		s = strings.ReplaceAll(s, dir, "DIR")
		s = regexp.MustCompile(`"seconds": [0-9.e-]+`).ReplaceAllString(s, `"seconds": S`)
		s = regexp.MustCompile(`"id": "[0-9A-Za-z_-]{22}"`).ReplaceAllString(s, `"id": "ID"`)
		return regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(s, "TIME")
	}
	var out strings.Builder
	var command string
	var input []string
	printed := false // inside what a command printed, which is made anew
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "tideline"):
			command, input, printed = line, nil, false
			fmt.Fprintln(&out, line)
		case line == "----" && command != "":
			fmt.Fprintln(&out, line)
			var stdout, stderr bytes.Buffer
			p := &program{
				stdin: strings.NewReader(strings.Join(input, "")), stdout: &stdout, stderr: &stderr,
				environ: []string{"TIDELINE_BROKERS=" + brokers, "TIDELINE_HTTP=" + admin.URL},
			}
			args := words(strings.ReplaceAll(command, "DIR", dir))[1:]
			status := p.run(context.Background(), args)
			out.WriteString(clean(stdout.String()))
			for errLine := range strings.Lines(stderr.String()) {
				out.WriteString("! " + clean(errLine))
			}
			if status != 0 {
				fmt.Fprintf(&out, "exit %d\n", status)
			}
			fmt.Fprintln(&out)
			command, printed = "", true
		case line == "<" || strings.HasPrefix(line, "< "):
			input = append(input, strings.TrimPrefix(line[1:], " ")+"\n")
			fmt.Fprintln(&out, line)
		case printed && !strings.HasPrefix(line, "#"):
		default:
			printed = false
			fmt.Fprintln(&out, line)
		}
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// words cuts a command at spaces outside of single quotes.
func words(command string) []string {
	var list []string
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

// adminAnswer is an admin API that has one answer for each path and topic,
// whatever the method.
func adminAnswer(w http.ResponseWriter, r *http.Request) {
	name := strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/v1/"), "/", "-")
	if topic := r.URL.Query().Get("topic"); topic != "" {
		name += "-" + topic
	}
	text, err := os.ReadFile(filepath.Join("testdata", "admin", filepath.Base(name)+".json"))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"error":"no such thing"}`)
		return
	}
	_, _ = w.Write(text) // the test sees what is missing
}
