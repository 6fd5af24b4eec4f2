package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// removeTorn removes snapshots that a process was killed over. Nobody reads
// them, and raft never looks at them again.
func removeTorn(dir string) error {
	dir = filepath.Join(dir, "snapshots")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for torn snapshots: %w", err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".tmp" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove torn snapshot: %w", err)
		}
	}
	return nil
}

// snapshots shows raft only those snapshots from which the log continues
// without a gap. Raft falls back to an older snapshot when the newest can not
// be read; if the log was cut behind the newest, that would lose commands
// silently or crash. With none left to try, opening fails with a clear error.
type snapshots struct {
	raft.SnapshotStore
	log *boltStore
}

// List implements raft.SnapshotStore: newest first.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	all, err := s.SnapshotStore.List()
	if err != nil || len(all) < 2 {
		return all, err
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return nil, err
	}
	usable := all[:1]
	for _, m := range all[1:] {
		if first != 0 && m.Index+1 >= first {
			usable = append(usable, m)
		}
	}
	return usable, nil
}
