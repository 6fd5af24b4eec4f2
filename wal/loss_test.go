package wal_test

import (
	"path"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// checkLoss opens a log and looks at what it says before and after do, or closes it at once.
func checkLoss(t *testing.T, fs *memfs.FS, when string, lost bool, do func(*wal.Log)) {
	t.Helper()
	l := open(t, crashOptions(fs, wal.SyncAlways))
	if l.Lost() != lost {
		t.Errorf("%s: lost=%v", when, l.Lost())
	}
	if do != nil {
		do(l)
	}
	closeLog(t, l)
}

func tell(t *testing.T) func(*wal.Log) {
	return func(l *wal.Log) {
		if err := l.LossTold(); err != nil {
			t.Fatal(err)
		}
		if l.Lost() {
			t.Error("it was told, and is still lost")
		}
	}
}

// TestLossUntilTold: a process that ends before it has told that its log is new leaves that to the next ones, which find a log
// that looks whole, whether it ended in order or by power.
func TestLossUntilTold(t *testing.T) {
	fs := memfs.New(0)
	checkLoss(t, fs, "new", true, nil)
	checkLoss(t, fs, "the next process", true, nil)
	fs = fs.Crash(memfs.LoseAll)
	checkLoss(t, fs, "after a power loss", true, func(l *wal.Log) {
		tell(t)(l)
		if p, err := l.Partition(id(1), 0); err != nil {
			t.Error(err)
		} else {
			mustAppend(t, p, batch(0, 1, 2000, 0, 'a'))
		}
	})
	fs = fs.Crash(memfs.LoseAll)
	checkLoss(t, fs, "after it was told", false, nil)
}

// TestDamageUntilTold: the same for a log of which a part is damaged, which the next process finds with an index.
func TestDamageUntilTold(t *testing.T) {
	fs := memfs.New(0)
	var broken *memfs.FS
	checkLoss(t, fs, "new", true, func(l *wal.Log) {
		tell(t)(l)
		p, err := l.Partition(id(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		for n := range int64(8) {
			mustAppend(t, p, batch(n, 1, 2000, n, 'a'))
		}
		broken = fs.Clone()
	})
	if err := broken.Corrupt(path.Join(crashOptions(fs, wal.SyncAlways).Dir, "0000000000000001.wal"), 4096*5+1000, 0x10); err != nil {
		t.Fatal(err)
	}
	checkLoss(t, broken, "damaged", true, nil)
	broken = broken.Crash(memfs.LoseAll)
	checkLoss(t, broken, "the next process", true, tell(t))
	checkLoss(t, broken, "after it was told", false, nil)
}
