package memfs

import (
	"maps"
	"slices"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// Clone copies the file system as it is, unsynced bytes included: a process that died while the machine lives on.
// It costs little, for pages are shared.
func (m *FS) Clone() *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := New(m.total)
	nodes := map[*node]*node{}
	copyNode := func(n *node) *node {
		if n == nil {
			return nil
		}
		if c := nodes[n]; c != nil {
			return c
		}
		c := &node{size: n.size, pages: maps.Clone(n.pages), syncedSize: n.syncedSize, synced: maps.Clone(n.synced),
			sizes: slices.Clone(n.sizes), versions: make(map[int64][]page, len(n.versions)), modified: n.modified}
		for i, v := range n.versions {
			c.versions[i] = slices.Clone(v)
		}
		nodes[n] = c
		return c
	}
	for name, n := range m.names {
		c.names[name] = copyNode(n)
	}
	for name, n := range m.durable {
		c.durable[name] = copyNode(n)
	}
	for _, op := range m.ops {
		set := make(map[string]*node, len(op.set))
		for name, n := range op.set {
			set[name] = copyNode(n)
		}
		c.ops = append(c.ops, nameOp{dir: op.dir, set: set})
	}
	c.dirs, c.durDirs = maps.Clone(m.dirs), maps.Clone(m.durDirs)
	c.now = m.now
	return c
}

// Choice decides what a crash leaves: it returns a number from 0 to n-1. For each thing that was not synced, 0 is the
// oldest version (as of the last sync), n-1 the newest.
type Choice func(n int) int

// LoseAll is the Choice that keeps nothing unsynced.
func LoseAll(int) int { return 0 }

// KeepAll is the Choice that keeps everything.
func KeepAll(n int) int { return n - 1 }

// Crash returns the file system that would be found after a loss of power. It leaves m as it is.
func (m *FS) Crash(choose Choice) *FS {
	c := m.Clone()
	kept := choose(len(c.ops) + 1)
	for _, op := range c.ops[:kept] {
		op.apply(c.durable)
	}
	c.ops = nil
	c.names = maps.Clone(c.durable)
	c.dirs = maps.Clone(c.durDirs)
	for _, name := range slices.Sorted(maps.Keys(c.names)) { // in order, so that a seed gives one result
		c.names[name].crash(choose)
	}
	return c
}

func (n *node) crash(choose Choice) {
	size := n.syncedSize
	if k := choose(len(n.sizes) + 1); k > 0 {
		size = n.sizes[k-1]
	}
	for _, i := range slices.Sorted(maps.Keys(n.versions)) {
		versions := n.versions[i]
		old := n.synced[i]
		mixed := new([pageSize]byte)
		for s := 0; s < pageSize; s += vfs.SectorSize {
			from := old
			if k := choose(len(versions) + 1); k > 0 {
				from = versions[k-1]
			}
			if from != nil {
				copy(mixed[s:s+vfs.SectorSize], from[s:s+vfs.SectorSize])
			}
		}
		n.synced[i] = mixed
	}
	n.size, n.syncedSize, n.sizes = size, size, nil
	n.cut(n.synced, size)
	n.pages = maps.Clone(n.synced)
	clear(n.versions)
}

// cut makes everything behind size zero.
func (n *node) cut(pages map[int64]page, size int64) {
	for i, p := range pages {
		switch {
		case i*pageSize >= size:
			delete(pages, i)
		case (i+1)*pageSize > size:
			short := *p
			clear(short[size-i*pageSize:])
			pages[i] = &short
		}
	}
}

// resize is an unsynced change of size.
func (n *node) resize(size int64) {
	if size < n.size {
		n.cut(n.pages, size)
		for i := range n.versions {
			if i*pageSize >= size {
				n.versions[i] = appendVersion(n.versions[i], nil)
			}
		}
	}
	if size != n.size {
		n.size = size
		n.sizes = append(n.sizes, size)
		if len(n.sizes) > maxVersions {
			n.sizes = n.sizes[1:]
		}
	}
}

func appendVersion(v []page, p page) []page {
	if len(v) == maxVersions {
		v = v[1:]
	}
	return append(slices.Clip(v), p)
}
