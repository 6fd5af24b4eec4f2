package partition

import (
	"cmp"
	"slices"
	"sync"

	"github.com/tidelinehq/tideline/wal"
)

// Table finds the replicas of this broker, led and followed, by topic name and by
// topic id.
type Table struct {
	mu     sync.RWMutex // guards both maps
	byName map[name]*Partition
	byID   map[wal.ID]*Partition
}

type name struct {
	topic string
	index int32
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{byName: make(map[name]*Partition), byID: make(map[wal.ID]*Partition)}
}

// Get returns the partition with this name, or nil.
func (t *Table) Get(topic string, index int32) *Partition {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name{topic, index}]
}

// GetBytes is Get for a name that is still in a request's buffer.
func (t *Table) GetBytes(topic []byte, index int32) *Partition {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name{string(topic), index}] // the compiler makes no copy for a look-up
}

// GetByID returns the partition with this id, or nil.
func (t *Table) GetByID(id wal.ID) *Partition {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// Add puts p into the table.
func (t *Table) Add(p *Partition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byName[name{p.topic, p.id.Partition}] = p
	t.byID[p.id] = p
}

// Remove takes p out of the table. A newer partition of the same name stays.
func (t *Table) Remove(p *Partition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := (name{p.topic, p.id.Partition}); t.byName[n] == p {
		delete(t.byName, n)
	}
	delete(t.byID, p.id)
}

// All returns every partition, by topic and index.
func (t *Table) All() []*Partition {
	t.mu.RLock()
	out := make([]*Partition, 0, len(t.byID))
	for _, p := range t.byID {
		out = append(out, p)
	}
	t.mu.RUnlock()
	slices.SortFunc(out, func(a, b *Partition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.id.Partition, b.id.Partition))
	})
	return out
}
