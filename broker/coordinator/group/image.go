package group

import (
	"encoding/binary"
	"hash/fnv"
	"iter"
	"slices"

	"github.com/tidelinehq/tideline/internal/codec"
)

// Image is the cluster's topics at one moment. It never changes.
type Image interface {
	// Version grows whenever the topics may have changed.
	Version() uint64
	// Lookup finds a topic by name.
	Lookup(name string) (id [16]byte, partitions int32, ok bool)
	// Name finds a topic by id.
	Name(id [16]byte) (name string, ok bool)
	// Names are all topics, in order.
	Names() iter.Seq[string]
	// Racks are those that have a replica of the partition, in any order and maybe more than
	// once; of replicas without a rack nothing is said.
	Racks(topic string, partition int32) []string
}

// metadataHash stands for the topics of a subscription as the image has them: their
// ids, partitions and racks. A group compares it with the one it was assigned by; so
// it need not be the same as another broker version's. Names must be in order.
func metadataHash(image Image, names []string) int64 {
	h := fnv.New64a()
	var buf []byte
	for _, name := range names {
		id, partitions, ok := image.Lookup(name)
		if !ok {
			continue
		}
		buf = append(append(buf[:0], id[:]...), 0)
		buf = binary.BigEndian.AppendUint32(buf, uint32(partitions))
		for p := range partitions {
			racks := slices.Clone(image.Racks(name, p))
			slices.Sort(racks)
			for _, r := range slices.Compact(racks) {
				buf = append(codec.AppendShortString(buf, r), 1)
			}
			buf = append(buf, 2)
		}
		_, _ = h.Write(buf)
	}
	return int64(h.Sum64())
}
