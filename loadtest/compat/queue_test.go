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
	queueWorkers = 4
	queueJobs    = 400
	queueTimeout = 4 * time.Minute
)

// A queueLine is what clients/java/Queue.java tells: of a job that it was given, or of what became of its last words.
type queueLine struct {
	Job       string `json:"job"`
	Partition int32  `json:"p"`
	Offset    int64  `json:"o"`
	Delivery  int    `json:"delivery"`
	Did       string `json:"did"`
	Committed *int32 `json:"committed"`
	Error     string `json:"error"`
}

// TestQueue has four workers share a queue of jobs by a share group (KIP-932). Some jobs are released once, some rejected; a worker and a
// broker are killed on the way. Every job is done, and none whose acknowledgement was confirmed comes again.
func TestQueue(t *testing.T) {
	on := startSystem(t)
	const topic, group = "jobs", "workers"
	c := newClient(t, on.Bootstrap())
	admin := kadm.NewClient(c)
	ctx, cancel := context.WithTimeout(t.Context(), queueTimeout)
	defer cancel()
	if _, err := admin.CreateTopic(ctx, 3, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
	// A group begins at the end of its topics, unless it is told otherwise before. A lost job is given to another after its lock's time.
	runTool(t, "", configCommand, "--bootstrap-server", on.Bootstrap(), "--alter", "--entity-type", "groups", "--entity-name", group,
		"--add-config", "share.auto.offset.reset=earliest,share.record.lock.duration.ms=15000")

	var workers []*session
	for i := range queueWorkers {
		path := classes(t) + string(os.PathListSeparator) + filepath.Join(jars(t), "*")
		cmd := exec.Command("java", append(slices.Clone(javaFlags), "-cp", path, "Queue", on.Bootstrap(), topic, group)...)
		workers = append(workers, startSession(t, fmt.Sprintf("worker %d", i), cmd))
	}
	jobs := map[string]bool{}
	write := func(label string) {
		var records []*kgo.Record
		for i := range queueJobs / 3 {
			job := fmt.Sprintf("%s %d %s", label, i, []string{"", "", "", "r", "x"}[i%5])
			jobs[job] = true
			records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % 3), Value: []byte(job)})
		}
		if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	settled := func() map[string]bool {
		done := map[string]bool{}
		for _, w := range workers {
			for _, job := range settledBy(t, w) {
				if done[job.Job] {
					t.Errorf("settled twice: %+v", job)
				}
				done[job.Job] = true
			}
		}
		return done
	}
	all := func(what string) {
		t.Helper()
		waitFor(t, queueTimeout, func() string { return fmt.Sprintf("%s: %d of %d jobs are settled", what, len(settled()), len(jobs)) }, outputs(workers), func() bool {
			done := settled()
			for job := range jobs {
				if !done[job] {
					return false
				}
			}
			return true
		})
	}
	write("first")
	all("four workers")
	workers[0].kill()
	write("without the first worker")
	all("three workers")
	write("over a broker's death")
	on.KillOne(t)
	all("after a broker's death")
	for _, w := range workers[1:] {
		w.finish()
	}
	checkQueue(t, workers, jobs)
}

// settledBy are the jobs that a worker has said its last word about, and was told that the word is kept.
func settledBy(t testing.TB, w *session) []queueLine {
	t.Helper()
	var settled, open []queueLine
	for _, line := range decode[queueLine](t, w.name, w.output.all()) {
		if line.Committed == nil {
			open = append(open, line)
			continue
		}
		left := open[:0]
		for _, job := range open {
			switch {
			case *line.Committed != job.Partition && *line.Committed >= 0:
				left = append(left, job)
			case line.Error == "" && job.Did != "RELEASE":
				settled = append(settled, job)
			}
		}
		open = left
	}
	return settled
}

// checkQueue looks at all deliveries: a job that was released comes again with a higher count, and only a settled one stays away.
func checkQueue(t *testing.T, workers []*session, jobs map[string]bool) {
	t.Helper()
	deliveries := map[string][]queueLine{}
	for _, w := range workers {
		for _, line := range decode[queueLine](t, w.name, w.output.all()) {
			if line.Committed == nil {
				deliveries[line.Job] = append(deliveries[line.Job], line)
			}
		}
	}
	for job := range deliveries {
		if !jobs[job] {
			t.Errorf("a job that nobody wrote: %q", job)
		}
	}
	for job := range jobs {
		most := 0
		for _, d := range deliveries[job] {
			most = max(most, d.Delivery)
		}
		released := strings.HasSuffix(job, "r")
		switch {
		case len(deliveries[job]) == 0:
			t.Errorf("never delivered: %q", job)
		case released && most < 2:
			t.Errorf("released, and not delivered again: %q %+v", job, deliveries[job])
		case most > len(deliveries[job]):
			// A worker that was killed may have been given it without a word.
			if most > len(deliveries[job])+1 {
				t.Errorf("delivered %d times and counted %d: %q", len(deliveries[job]), most, job)
			}
		}
	}
}
