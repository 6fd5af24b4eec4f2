package compat

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/brokertest"
)

const (
	streamsGroupTool    = "org.apache.kafka.tools.streams.StreamsGroupCommand"
	streamsGroupTimeout = 4 * time.Minute
	countedWords        = 10
)

// TestStreamsGroup runs clients/java/WordCount.java, an application of Kafka Streams' own protocol, as two instances. One is killed and
// comes again, then the broker that coordinates them is. Each word must be counted as often as it was written, and Apache Kafka's tool must see
// the group.
func TestStreamsGroup(t *testing.T) {
	settings := map[string]string{
		"group.streams.initial.rebalance.delay.ms": "300",
		"group.streams.min.heartbeat.interval.ms":  "500", "group.streams.heartbeat.interval.ms": "500",
		"group.streams.min.session.timeout.ms": "3000", "group.streams.session.timeout.ms": "5000",
	}
	for key, value := range quick {
		settings[key] = value
	}
	p := brokertest.Start(t, brokertest.Options{Settings: settings})
	ctx, cancel := context.WithTimeout(t.Context(), 2*streamsGroupTimeout)
	defer cancel()
	c := newClient(t, p.Addr())
	if _, err := kadm.NewClient(c).CreateTopics(ctx, 4, -1, nil, "words", "counted"); err != nil {
		t.Fatal(err)
	}
	setGroup(ctx, t, c, "words", "streams.num.standby.replicas", "1")

	start := func(i int, state string) *session {
		t.Helper()
		path := classes(t) + ":" + filepath.Join(jars(t), "*")
		argv := append(slices.Clone(javaFlags), "-cp", path, "WordCount", p.Addr(), "words", state)
		return startSession(t, fmt.Sprintf("instance %d", i), exec.Command("java", argv...))
	}
	running := func(instances ...*session) {
		t.Helper()
		waitFor(t, streamsGroupTimeout, func() string { return "the instances run: " + lastLines(instances) }, outputs(instances), func() bool {
			return !slices.ContainsFunc(instances, func(s *session) bool {
				lines := s.output.all()
				return len(lines) == 0 || string(lines[len(lines)-1]) != "RUNNING"
			})
		})
	}
	states := []string{t.TempDir(), t.TempDir()}
	instances := []*session{start(0, states[0]), start(1, states[1])}
	running(instances...)

	w := newWordCounter(t, p.Addr())
	w.write(ctx, t)
	w.await(ctx, t)
	described := runTool(t, "", streamsGroupTool, "--bootstrap-server", p.Addr(), "--describe", "--group", "words", "--members", "--verbose")
	expect(t, "streams group tool", described, `ACTIVE: .*0:\[`, `STANDBY: .*1:\[`)
	if n := strings.Count(described, "StreamThread-"); n != 4 {
		t.Errorf("%d of four threads in:\n%s", n, described)
	}

	instances[0].kill()
	w.write(ctx, t)
	w.await(ctx, t)
	instances[0] = start(0, states[0])
	running(instances...)
	p.Kill()
	p.Restart()
	w.write(ctx, t)
	w.await(ctx, t)
	for _, s := range instances {
		s.finish()
	}
	expect(t, "streams group tool", runTool(t, "", streamsGroupTool, "--bootstrap-server", p.Addr(), "--list", "--state"), `words +Empty`)
	runTool(t, "", streamsGroupTool, "--bootstrap-server", p.Addr(), "--delete", "--group", "words")
}

func lastLines(sessions []*session) string {
	var all []string
	for _, s := range sessions {
		all = append(all, fmt.Sprintf("%s %q", s.name, s.output.all()))
	}
	return strings.Join(all, ", ")
}

// setGroup gives a group a setting of its own.
func setGroup(ctx context.Context, t testing.TB, c *kgo.Client, group, key, value string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	kv := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	kv.Name, kv.Value = key, &value
	r.Configs = append(r.Configs, kv)
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if code := resp.Resources[0].ErrorCode; code != 0 {
		t.Fatalf("%s of group %s: error code %d", key, group, code)
	}
}

// wordCounter knows how often each word was written, and the greatest count of it that came out.
type wordCounter struct {
	client           *kgo.Client
	written, counted map[string]int
}

func newWordCounter(t testing.TB, addr string) *wordCounter {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("counted"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &wordCounter{client: c, written: map[string]int{}, counted: map[string]int{}}
}

// write writes each word some times.
func (w *wordCounter) write(ctx context.Context, t testing.TB) {
	t.Helper()
	var records []*kgo.Record
	for i := range countedWords {
		word := fmt.Sprintf("word%d", i)
		for range i + 1 {
			records = append(records, &kgo.Record{Topic: "words", Value: []byte(word)})
			w.written[word]++
		}
	}
	if err := w.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// await reads counts until all words are counted as often as they were written.
func (w *wordCounter) await(ctx context.Context, t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, streamsGroupTimeout)
	defer cancel()
	for {
		behind := 0
		for word, n := range w.written {
			if w.counted[word] < n {
				behind++
			}
		}
		if behind == 0 {
			return
		}
		fetches := w.client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d words are behind: written %v, counted %v", behind, w.written, w.counted)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n, err := strconv.Atoi(string(r.Value))
			if err != nil {
				t.Errorf("count of %s: %v", r.Key, err)
			}
			word := string(r.Key)
			if w.counted[word] = max(w.counted[word], n); n > w.written[word] {
				t.Fatalf("%s was counted %d times, and written %d times", word, n, w.written[word])
			}
		})
	}
}
