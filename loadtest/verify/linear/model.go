package linear

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// Kind is what an operation does.
type Kind string

// The operations. The last two read.
const (
	Create        Kind = "create"
	Delete        Kind = "delete"
	AddPartitions Kind = "add-partitions"
	SetConfig     Kind = "set-config"
	Metadata      Kind = "metadata"
	Describe      Kind = "describe"
)

// Outcome is how an operation ended.
type Outcome string

// The outcomes. A read ends in OK, Missing or Unknown.
const (
	OK      Outcome = "ok"
	Exists  Outcome = "exists"  // the topic is there already
	Missing Outcome = "missing" // the topic is not there
	Refused Outcome = "refused" // it has as many partitions already, or more
	Unknown Outcome = "unknown" // no answer
)

// Op is one operation on a topic.
type Op struct {
	Topic      string  `json:"topic"`
	Kind       Kind    `json:"op"`
	Broker     int32   `json:"broker"` // that was asked
	Client     int     `json:"client"`
	Call       int64   `json:"call"`   // ns since the test began
	Return     int64   `json:"return"` // of an unknown outcome: the end of the test
	Partitions int32   `json:"partitions,omitempty"`
	Value      int64   `json:"value,omitempty"` // of the setting, written or read
	Outcome    Outcome `json:"outcome"`
	Error      string  `json:"error,omitempty"`
}

func (o Op) read() bool { return o.Kind == Metadata || o.Kind == Describe }

func (o Op) String() string {
	return fmt.Sprintf("%s partitions=%d value=%d broker=%d → %s", o.Kind, o.Partitions, o.Value, o.Broker, o.Outcome)
}

// topic is one state of a topic.
type topic struct {
	exists     bool
	partitions int32
	value      int64
}

// state is what the model knows: every state so far, and where each broker is. It is never changed, only copied.
type state struct {
	states []topic
	shown  map[int32]int
}

func (s state) now() topic { return s.states[len(s.states)-1] }

// then is the state with a further one of the topic.
func (s state) then(t topic) state {
	if t == s.now() {
		return s
	}
	return state{append(slices.Clip(s.states), t), s.shown}
}

// write is the sequential meaning of a write.
func (s state) write(o Op) (bool, state) {
	is := s.now()
	may, becomes := false, is
	switch o.Kind {
	case Create:
		may, becomes = !is.exists, topic{true, o.Partitions, o.Value}
	case Delete:
		may, becomes = is.exists, topic{}
	case AddPartitions:
		may, becomes.partitions = is.exists && o.Partitions > is.partitions, o.Partitions
	case SetConfig:
		may, becomes.value = is.exists, o.Value
	}
	switch o.Outcome {
	case OK:
		return may, s.then(becomes)
	case Unknown:
		if may {
			return true, s.then(becomes)
		}
		return true, s
	}
	return is.explains(o), s
}

// look is the meaning of a read: the broker moves forward, to the first state that fits. Any later one would leave it less freedom.
func (s state) look(o Op) (bool, state) {
	for i := s.shown[o.Broker]; i < len(s.states); i++ {
		if !s.states[i].explains(o) {
			continue
		}
		if i != s.shown[o.Broker] {
			s.shown = maps.Clone(s.shown)
			s.shown[o.Broker] = i
		}
		return true, s
	}
	return false, s
}

// explains tells whether an answer that changes nothing can come from a state.
func (t topic) explains(o Op) bool {
	switch {
	case o.Outcome == Missing:
		return !t.exists
	case o.Outcome == Exists || o.Outcome == Unknown:
		return t.exists || o.Outcome == Unknown
	case o.Outcome == Refused:
		return t.exists && o.Partitions <= t.partitions
	case o.Kind == Metadata:
		return t.exists && t.partitions == o.Partitions
	}
	return t.exists && t.value == o.Value
}

func (s state) String() string {
	var all []string
	for i, t := range s.states {
		text := "absent"
		if t.exists {
			text = fmt.Sprintf("%d/n=%d", t.partitions, t.value)
		}
		for _, broker := range slices.Sorted(maps.Keys(s.shown)) {
			if s.shown[broker] == i {
				text += fmt.Sprintf(" ▲%d", broker)
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, " → ")
}

// newModel is the model of one topic. With stale refusals a write that changes nothing is a read of the broker that was asked.
func newModel(staleRefusals bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{states: []topic{{}}, shown: map[int32]int{}} },
		Step: func(is, input, _ any) (bool, any) {
			s, o := is.(state), input.(Op)
			if o.read() || staleRefusals && o.Outcome != OK && o.Outcome != Unknown {
				return s.look(o)
			}
			return s.write(o)
		},
		Equal: func(a, b any) bool {
			x, y := a.(state), b.(state)
			return slices.Equal(x.states, y.states) && maps.Equal(x.shown, y.shown)
		},
		DescribeOperation: func(input, _ any) string { return input.(Op).String() },
		DescribeState:     func(is any) string { return is.(state).String() },
	}
}
