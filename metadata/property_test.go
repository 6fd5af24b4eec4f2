package metadata

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// seeds is how many worlds a campaign has; TIDELINE_METADATA_SEEDS makes it long.
func seeds(t *testing.T) uint64 {
	if v := os.Getenv("TIDELINE_METADATA_SEEDS"); v != "" {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 8
}

// Random commands keep every invariant, an object is garbage exactly when the
// model refers to it no more, older images stay as they were, a snapshot is
// the image, and replicas that batch, restart from snapshots, or replay the
// whole log agree to the byte.
func TestWorlds(t *testing.T) {
	for seed := range seeds(t) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			type kept struct {
				image *Image
				bytes []byte
			}
			var old []kept
			for i := range 400 {
				w.step()
				if i%20 == 0 {
					w.check()
				}
				if i%80 == 0 {
					old = append(old, kept{w.image, snapshotBytes(t, w.image)})
				}
			}
			w.check()
			final := snapshotBytes(t, w.image)
			for _, k := range old {
				if !bytes.Equal(k.bytes, snapshotBytes(t, k.image)) {
					t.Fatalf("the image at index %d changed after it was published", k.image.Index())
				}
				restored, err := ReadImage(bytes.NewReader(k.bytes))
				if err != nil {
					t.Fatal(err)
				}
				if err := Check(restored); err != nil {
					t.Fatalf("restored image: %v", err)
				}
				if !bytes.Equal(k.bytes, snapshotBytes(t, restored)) {
					t.Fatal("image != decode(encode(image))")
				}
				if !bytes.Equal(final, w.replay(restored)) {
					t.Fatalf("snapshot at %d and the commands after it give another image", k.image.Index())
				}
			}
			if !bytes.Equal(final, w.replay(new(Image))) {
				t.Fatal("replaying the log gives another image")
			}
		})
	}
}

// replay applies the log after an image, in batches of random size, as a
// restart does.
func (w *world) replay(from *Image) []byte {
	m := &machine{publisher: newPublisher(), metrics: newMetrics()}
	m.publish(from, &changes{all: true})
	for at := 0; at < len(w.log); {
		n := min(len(w.log)-at, 1+w.r.IntN(64))
		var batch []quorum.Entry
		for i := range n {
			batch = append(batch, quorum.Entry{Index: uint64(at + i + 1), Data: w.log[at+i]})
		}
		m.Apply(batch)
		at += n
	}
	return snapshotBytes(w.t, m.image.Load())
}

// Two successors of one image do not disturb each other, though they share the
// storage of hot segments.
func TestBranchesAreIndependent(t *testing.T) {
	w := newWorld(t, 1)
	w.createTopic()
	topic := w.topics[0]
	add := func(m *Image, index uint64, mark byte) *Image {
		object := w.id()
		p, _ := m.Partition(topic, 0)
		b := firstBroker(m)
		m, _ = Apply(m, index, &record.BeginUpload{Object: object, Kind: record.KindData, Broker: b.ID, BrokerEpoch: b.Epoch})
		s := w.segment(object, p, 0)
		s.Chain[31] = mark
		m, r := Apply(m, index+1, &record.CommitUpload{Object: object, Bytes: 1, Last: true, Entries: []record.CommitEntry{
			{Topic: topic, LeaderEpoch: p.LeaderEpoch, Expected: p.Ledger.Tiered, Segment: s}}})
		if r.Entries[0].Reason != record.OK {
			t.Fatal(r.Entries[0].Reason)
		}
		return m
	}
	base := w.image
	for i := range 5 {
		base = add(base, w.index+uint64(2*i), 1)
	}
	left := add(base, 100, 2)
	right := add(base, 100, 3)
	for mark, m := range map[byte]*Image{2: left, 3: right} {
		p, _ := m.Partition(topic, 0)
		if n := len(p.Ledger.Hot); n != 6 || p.Ledger.Hot[5].Chain[31] != mark || cap(p.Ledger.Hot) != n {
			t.Fatalf("mark %d: %d segments, last %d, cap %d", mark, n, p.Ledger.Hot[n-1].Chain[31], cap(p.Ledger.Hot))
		}
		if err := Check(m); err != nil {
			t.Fatal(err)
		}
	}
}

func firstBroker(m *Image) *Broker {
	for b := range m.Brokers() {
		return b
	}
	return nil
}
