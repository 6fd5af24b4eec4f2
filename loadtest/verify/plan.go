package verify

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// plan is what a run's directory says of the run: run.json. A check needs nothing else but the journals.
type plan struct {
	Run        string    `json:"run"` // 32 hexadecimal digits
	Began      time.Time `json:"began"`
	Topic      string    `json:"topic"`
	Partitions int32     `json:"partitions"`
	Producers  int       `json:"producers"`
	Idempotent bool      `json:"idempotent"`
	Acks       Acks      `json:"acks"`
	Gaps       bool      `json:"gaps,omitempty"`
	Command    string    `json:"command,omitempty"`
}

const (
	planFile     = "run.json"
	maxPlanBytes = 1 << 20
)

func (p *plan) id() (RunID, error) {
	raw, err := hex.DecodeString(p.Run)
	if err != nil || len(raw) != len(RunID{}) {
		return RunID{}, fmt.Errorf("%s: not the id of a run run=%q", planFile, p.Run)
	}
	return RunID(raw), nil
}

func (p *plan) write(dir string) error {
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, planFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("a directory holds one run: %w", err)
	}
	_, err = file.Write(append(raw, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}

func readPlan(dir string) (*plan, error) {
	path := filepath.Join(dir, planFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("no run in this directory: %w", err)
	}
	if info.Size() > maxPlanBytes {
		return nil, fmt.Errorf("%s is too large: bytes=%d max=%d", planFile, info.Size(), maxPlanBytes)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("%s: %w", planFile, err)
	}
	if p.Partitions < 1 || p.Partitions > maxPartition || p.Producers < 1 || p.Producers > maxProducers {
		return nil, fmt.Errorf("%s: value out of bounds partitions=%d producers=%d", planFile, p.Partitions, p.Producers)
	}
	return p, nil
}

// source is a journal of a run.
type source struct {
	path string
	header
}

// sources are the journals of a directory, by role and number. One that is torn within its header says nothing.
func sources(dir string, want RunID) ([]source, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		return nil, err
	}
	var found []source
	for _, path := range paths {
		s, file, err := openJournal(path)
		if errors.Is(err, errTorn) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
		if s.header.run != want {
			return nil, fmt.Errorf("%s: %w: of another run", filepath.Base(path), ErrCorrupt)
		}
		found = append(found, source{path, s.header})
	}
	if len(found) > maxWitnesses {
		return nil, fmt.Errorf("too many journals: count=%d max=%d", len(found), maxWitnesses)
	}
	slices.SortFunc(found, func(a, b source) int {
		if a.role != b.role {
			return int(a.role) - int(b.role)
		}
		return int(a.number) - int(b.number)
	})
	return found, nil
}

// maxWitnesses is what a table's entry can name, less a margin.
const maxWitnesses = 60000
