package streams

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// sub parses "id: source+source+rep? > sink+sink | changelog | a=b=c" where rep=3 fixes the
// partitions of a repartition source and rep? leaves them open.
func sub(text string) Subtopology {
	id, rest, _ := strings.Cut(text, ":")
	s := Subtopology{ID: id}
	parts := strings.Split(rest, "|")
	reads, sinks, _ := strings.Cut(parts[0], ">")
	index := map[string]func(*CopartitionGroup){}
	for _, name := range fields(reads) {
		switch base, n, fixed := strings.Cut(name, "="); {
		case fixed:
			var partitions int32
			_, _ = fmt.Sscan(n, &partitions)
			i := int16(len(s.RepartitionSources))
			index[base] = func(g *CopartitionGroup) { g.RepartitionSources = append(g.RepartitionSources, i) }
			s.RepartitionSources = append(s.RepartitionSources, TopicInfo{Name: base, Partitions: partitions})
		case strings.HasSuffix(name, "?"):
			base = strings.TrimSuffix(name, "?")
			i := int16(len(s.RepartitionSources))
			index[base] = func(g *CopartitionGroup) { g.RepartitionSources = append(g.RepartitionSources, i) }
			s.RepartitionSources = append(s.RepartitionSources, TopicInfo{Name: base})
		default:
			i := int16(len(s.Sources))
			index[name] = func(g *CopartitionGroup) { g.Sources = append(g.Sources, i) }
			s.Sources = append(s.Sources, name)
		}
	}
	s.RepartitionSinks = fields(sinks)
	if len(parts) > 1 {
		for _, name := range fields(parts[1]) {
			s.Changelogs = append(s.Changelogs, TopicInfo{Name: name})
		}
	}
	if len(parts) > 2 {
		var g CopartitionGroup
		for _, name := range fields(parts[2]) {
			if add := index[name]; add != nil {
				add(&g)
			} else {
				g.Sources = append(g.Sources, 99)
			}
		}
		s.Copartitioned = append(s.Copartitioned, g)
	}
	return s
}

func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '+' || r == ' ' })
}

func TestConfigure(t *testing.T) {
	for _, tt := range []struct {
		name   string
		topics map[string]int32
		subs   []string
		want   string // tasks by subtopology, and what is to be created
		status int8
		detail string
		code   *kerr.Error
	}{
		{name: "one source", topics: map[string]int32{"in": 3}, subs: []string{"0: in"}, want: "0=3"},
		{name: "the widest source counts", topics: map[string]int32{"in": 3, "more": 5}, subs: []string{"0: in + more"}, want: "0=5"},
		{
			name: "missing sources", topics: map[string]int32{"in": 3}, subs: []string{"0: in + d + b", "1: c + a + b"},
			status: statusMissingSourceTopics, detail: "Source topics a, b, c and 1 additional topics are missing.",
		},
		{
			name: "repartition follows its writer", topics: map[string]int32{"in": 3}, subs: []string{"0: in > rep", "1: rep? | log"},
			want: "0=3 1=3 create log:3 rep:3", status: statusMissingInternalTopics, detail: "Internal topics are missing: log, rep",
		},
		{
			name: "a chain of repartitions, written backwards", topics: map[string]int32{"in": 3}, subs: []string{"0: c?", "1: b? > c", "2: a? > b", "3: in > a"},
			want: "0=3 1=3 2=3 3=3 create a:3 b:3 c:3", status: statusMissingInternalTopics, detail: "Internal topics are missing: a, b, c",
		},
		{
			name: "fixed repartition", topics: map[string]int32{"in": 3}, subs: []string{"0: in > rep", "1: rep=7 | log"},
			want: "0=3 1=7 create log:7 rep:7", status: statusMissingInternalTopics, detail: "Internal topics are missing: log, rep",
		},
		{name: "all there", topics: map[string]int32{"in": 3, "rep": 3, "log": 3}, subs: []string{"0: in > rep", "1: rep? | log"}, want: "0=3 1=3"},
		{
			name: "internal topic of another width", topics: map[string]int32{"in": 3, "rep": 3, "log": 4}, subs: []string{"0: in > rep", "1: rep? | log"},
			status: statusIncorrectlyPartitioned, detail: "Existing topic log has different number of partitions: expected 3, found 4",
		},
		{name: "a loop", topics: map[string]int32{}, subs: []string{"0: a? > b", "1: b? > a"}, code: kerr.StreamsInvalidTopology},
		{name: "nobody writes it", topics: map[string]int32{"in": 3}, subs: []string{"0: in + rep?"}, code: kerr.StreamsInvalidTopology},
		{name: "no sources", topics: map[string]int32{"in": 3}, subs: []string{"0: in", "1: | log"}, code: kerr.StreamsInvalidTopology},
		{name: "a copartition group of nothing", topics: map[string]int32{"in": 3}, subs: []string{"0: in || elsewhere"}, code: kerr.StreamsInvalidTopology},
		{name: "copartitioned sources", topics: map[string]int32{"a": 3, "b": 3}, subs: []string{"0: a + b || a + b"}, want: "0=3"},
		{
			name: "copartitioned sources differ", topics: map[string]int32{"a": 3, "b": 4}, subs: []string{"0: a + b || a + b"},
			status: statusIncorrectlyPartitioned, detail: "Following topics do not have the same number of partitions: [{a=3, b=4}]",
		},
		{
			name: "repartition follows a copartitioned source", topics: map[string]int32{"in": 3, "b": 5}, subs: []string{"0: in > rep", "1: b + rep? || b + rep"},
			want: "0=3 1=5 create rep:5", status: statusMissingInternalTopics, detail: "Internal topics are missing: rep",
		},
		{
			name: "a fixed repartition cannot follow", topics: map[string]int32{"in": 3, "b": 5}, subs: []string{"0: in > rep", "1: b + rep=3 || b + rep"},
			status: statusIncorrectlyPartitioned, detail: "Number of partitions [3] of repartition topic [rep] doesn't match number of partitions [5] of the source topic.",
		},
		{
			name: "repartitions follow the widest", topics: map[string]int32{"x": 3, "y": 5}, subs: []string{"0: x > r1", "1: y > r2", "2: r1? + r2? | log | r1 + r2"},
			want: "0=3 1=5 2=5 create log:5 r1:5 r2:5", status: statusMissingInternalTopics, detail: "Internal topics are missing: log, r1, r2",
		},
		{
			name: "repartitions follow the fixed one", topics: map[string]int32{"x": 3, "y": 5}, subs: []string{"0: x > r1", "1: y > r2", "2: r1=4 + r2? | log | r1 + r2"},
			want: "0=3 1=5 2=4 create log:4 r1:4 r2:4", status: statusMissingInternalTopics, detail: "Internal topics are missing: log, r1, r2",
		},
		{
			name: "fixed ones differ", topics: map[string]int32{"x": 3, "y": 5}, subs: []string{"0: x > r1", "1: y > r2", "2: r1=4 + r2=6 || r1 + r2"},
			status: statusIncorrectlyPartitioned, detail: "Following topics do not have the same number of partitions: [{r1=4, r2=6}]",
		},
		{name: "too many tasks", topics: map[string]int32{"in": 60, "more": 41}, subs: []string{"0: in", "1: more"}, code: kerr.StreamsInvalidTopology},
		{name: "too many tasks to count", topics: map[string]int32{"in": 1}, subs: []string{"0: in > rep", "1: rep=2147483647"}, code: kerr.StreamsInvalidTopology},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := &Topology{}
			for _, s := range tt.subs {
				top.Subtopologies = append(top.Subtopologies, sub(s))
			}
			c, err := configure(top, &cluster{topics: tt.topics}, 100)
			if tt.code != nil {
				if r := (*refusal)(nil); !errors.As(err, &r) || r.code != tt.code.Code {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var parts []string
			for _, s := range c.Subtopologies {
				parts = append(parts, fmt.Sprintf("%s=%d", s.ID, s.Tasks))
			}
			if len(c.Create) > 0 {
				parts = append(parts, "create")
			}
			for _, it := range c.Create {
				parts = append(parts, fmt.Sprintf("%s:%d", it.Name, it.Partitions))
			}
			if got := strings.Join(parts, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if tt.detail == "" {
				if !c.Ready() {
					t.Errorf("not ready: %v", c.problem)
				}
			} else if c.Ready() || c.problem.code != tt.status || c.problem.detail != tt.detail {
				t.Errorf("got %v, want %d %s", c.problem, tt.status, tt.detail)
			}
		})
	}
}
