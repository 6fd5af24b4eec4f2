package group

import (
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
)

// Image is what the topics are now, with a version that follows from them.
func (f fakeTopics) Image() Image { return fakeImage{maps.Clone(f)} }

type fakeImage struct{ fakeTopics }

func (f fakeImage) Version() uint64 {
	h := fnv.New64a()
	for name := range f.Names() {
		fmt.Fprintf(h, "%s %+v\n", name, f.fakeTopics[name])
	}
	return h.Sum64()
}

func (f fakeImage) Names() iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(f.fakeTopics)))
}

func (f fakeImage) Racks(topic string, partition int32) []string {
	if racks := f.fakeTopics[topic].racks; len(racks) > 0 {
		return []string{racks[int(partition)%len(racks)]}
	}
	return nil
}
