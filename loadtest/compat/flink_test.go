package compat

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	flinkWords   = 10
	flinkEach    = 100 // of each word in each part
	flinkTimeout = 4 * time.Minute
)

// TestFlink runs clients/flink/Job.java, a job of Apache Flink that counts words exactly once: it goes on from its last checkpoint, whose
// transactions it commits, after its process was killed, and over a broker's death.
func TestFlink(t *testing.T) {
	on := startSystem(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*flinkTimeout)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(on.Bootstrap(), ",")...), kgo.ConsumeTopics("counts"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := kadm.NewClient(c).CreateTopics(ctx, 2, -1, nil, "words", "counts"); err != nil {
		t.Fatal(err)
	}
	checkpoints := t.TempDir()
	start := func(from ...string) *session {
		t.Helper()
		dir := flink(t)
		argv := []string{"-Xmx384m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"}
		argv = append(argv, javaFlags[1:]...)
		argv = append(argv, "-cp", filepath.Join(dir, "classes")+string(os.PathListSeparator)+filepath.Join(dir, "lib", "*"), "Job", on.Bootstrap(), checkpoints)
		return startSession(t, "flink", exec.Command("java", append(argv, from...)...))
	}
	counts := map[string]int{}
	written := 0
	part := func(what string) {
		t.Helper()
		var records []*kgo.Record
		for range flinkEach {
			for i := range flinkWords {
				records = append(records, &kgo.Record{Topic: "words", Value: fmt.Appendf(nil, "word%d", i)})
			}
		}
		written += flinkEach
		if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	counted := func(what string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, flinkTimeout)
		defer cancel()
		for sum(counts) < flinkWords*written {
			fetches := c.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatalf("%s: %d of %d words are counted", what, sum(counts), flinkWords*written)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				word := string(r.Key)
				counts[word]++
				if got, want := string(r.Value), fmt.Sprintf("%s %d", word, counts[word]); got != want {
					t.Errorf("%s: %q came after %q", what, got, fmt.Sprintf("%s %d", word, counts[word]-1))
				}
			})
		}
	}

	job := start()
	part("first")
	counted("first")
	part("before the job's death")
	job.kill()
	job = start(newestCheckpoint(t, checkpoints))
	part("after the job's death")
	counted("after the job's death")
	part("before a broker's death")
	on.KillOne(t)
	part("after a broker's death")
	counted("after a broker's death")
	job.kill()
}

func sum(counts map[string]int) int {
	n := 0
	for _, one := range counts {
		n += one
	}
	return n
}

// newestCheckpoint is the last one that Flink has finished.
func newestCheckpoint(t testing.TB, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "chk-*", "_metadata"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no checkpoint in %s: %v", dir, err)
	}
	newest := slices.MaxFunc(found, func(a, b string) int {
		at := func(path string) time.Time {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			return info.ModTime()
		}
		return at(a).Compare(at(b))
	})
	return "file://" + filepath.Dir(newest)
}

// flink is the directory of Flink's jars and the compiled job.
func flink(t testing.TB) string {
	pom, source := absolute(t, "flink.xml"), absolute(t, "clients/flink/Job.java")
	return installed.flink.get(t, "flink", []string{read(t, pom), read(t, source)}, func(ctx context.Context, dir string) error {
		lib, out := filepath.Join(dir, "lib"), filepath.Join(dir, "classes")
		if err := run(ctx, dir, "mvn", "--quiet", "--batch-mode", "--file", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+lib); err != nil {
			return err
		}
		return run(ctx, dir, "javac", "-nowarn", "-cp", filepath.Join(lib, "*"), "-d", out, source)
	})
}
