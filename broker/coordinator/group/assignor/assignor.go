package assignor

import (
	"bytes"
	"slices"
)

// TopicID is the id of a topic.
type TopicID = [16]byte

// Assignment is partitions by topic, ascending; a topic without any is not in it.
type Assignment map[TopicID][]int32

// Topic is a topic that can be assigned.
type Topic struct {
	Name       string
	Partitions int32
}

// Member is one who is to be given partitions.
type Member struct {
	ID       string
	Instance string     // of a static member
	Topics   []TopicID  // subscribed
	Owned    Assignment // what it should have had until now
}

// Spec is what there is to assign, and to whom.
type Spec struct {
	Members []Member
	Topics  map[TopicID]Topic
}

// Func makes an assignment for each member, by id.
type Func func(Spec) map[string]Assignment

// The names of the assignors.
const (
	NameUniform = "uniform"
	NameRange   = "range"
)

// ByName returns an assignor; nil if there is none of that name.
func ByName(name string) Func {
	switch name {
	case NameUniform:
		return Uniform
	case NameRange:
		return Range
	}
	return nil
}

func compareTopics(a, b TopicID) int { return bytes.Compare(a[:], b[:]) }

// subscribers are the members of each topic, by their index.
func (s *Spec) subscribers() (topics []TopicID, of map[TopicID][]int) {
	of = make(map[TopicID][]int, len(s.Topics))
	for i, m := range s.Members {
		for _, t := range m.Topics {
			if _, ok := s.Topics[t]; !ok {
				continue
			}
			if list := of[t]; len(list) == 0 || list[len(list)-1] != i {
				of[t] = append(list, i)
			}
		}
	}
	for t := range of {
		topics = append(topics, t)
	}
	slices.SortFunc(topics, compareTopics)
	return topics, of
}

// result brings what each member was given into the form of an answer.
func (s *Spec) result(given []Assignment) map[string]Assignment {
	out := make(map[string]Assignment, len(given))
	for i, a := range given {
		for _, ps := range a {
			slices.Sort(ps)
		}
		out[s.Members[i].ID] = a
	}
	return out
}
