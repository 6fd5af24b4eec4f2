package once

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// verb is what a worker writes down of an attempt.
type verb string

const (
	started   verb = "started"   // the process has its producer id; the number of the attempt is 0
	commits   verb = "commits"   // it is about to ask for the commit
	aborts    verb = "aborts"    // it is about to ask for the abort
	committed verb = "committed" // it was told that it is committed
	aborted   verb = "aborted"   // it was told that it is aborted
)

// journal is a worker's file. Each line goes to the system before the worker goes on, so that a process that is killed leaves all of
// them.
//
//	verb ' ' slot ' ' attempt ' ' number ' ' time in ns '\n'
type journal struct {
	file          *os.File
	slot, attempt string
}

func openJournal(w *Worker) (*journal, error) {
	f, err := os.OpenFile(w.Journal, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &journal{file: f, slot: w.TransactionalID, attempt: w.Attempt}, nil
}

func (j *journal) write(v verb, number int64) error {
	_, err := fmt.Fprintf(j.file, "%s %s %s %d %d\n", v, j.slot, j.attempt, number, time.Now().UnixNano())
	return err
}

func (j *journal) Close() error { return j.file.Close() }

// attempt is one transaction of one process.
type attempt struct {
	process string
	number  int64
}

// fate is what is known of an attempt.
type fate struct {
	slot    string
	asked   int64 // when the commit was asked for, ns; 0: it was not
	outcome verb  // committed, aborted, or "": nobody knows
	decided int64 // when the worker was told, ns
}

// journals is what all workers wrote down.
type journals struct {
	attempts map[attempt]*fate
	// starts of the processes of a slot, as their producer ids were given out.
	starts map[string][]start
}

type start struct {
	process string
	at      int64
}

// readJournals reads all journals of a directory. A last line that is torn is none.
func readJournals(dir string) (*journals, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		return nil, err
	}
	all := &journals{attempts: make(map[attempt]*fate), starts: make(map[string][]start)}
	for _, name := range names {
		if err := all.read(name); err != nil {
			return nil, fmt.Errorf("journal=%s: %w", name, err)
		}
	}
	for _, s := range all.starts {
		slices.SortFunc(s, func(a, b start) int { return int(min(max(a.at-b.at, -1), 1)) })
	}
	return all, nil
}

func (all *journals) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var (
			v          verb
			slot       string
			a          attempt
			at         int64
			n, scanned = fmt.Sscanf(strings.TrimSpace(lines.Text()), "%s %s %s %d %d", &v, &slot, &a.process, &a.number, &at)
		)
		if n != 5 || scanned != nil {
			return fmt.Errorf("line %q: %w", lines.Text(), scanned)
		}
		all.note(v, slot, a, at)
	}
	return lines.Err()
}

func (all *journals) note(v verb, slot string, a attempt, at int64) {
	if v == started {
		all.starts[slot] = append(all.starts[slot], start{a.process, at})
		return
	}
	f := all.attempts[a]
	if f == nil {
		f = &fate{slot: slot}
		all.attempts[a] = f
	}
	switch v {
	case commits:
		f.asked = at
	case committed, aborted:
		f.outcome, f.decided = v, at
	}
}
