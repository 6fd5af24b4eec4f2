package metadata

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

const killDir = "TIDELINE_METADATA_KILL_DIR"

// TestKilledProcess is the process that TestStoreSurvivesKill kills: it
// acknowledges one command after the other on standard output.
func TestKilledProcess(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		return // nothing to do on its own
	}
	s, err := Open(testContext(t), Options{Dir: dir, NodeID: 1, SnapshotBytes: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	b, ok := s.Image().Broker(1)
	if !ok {
		seed(t, s, 1)
		b, _ = s.Image().Broker(1)
	}
	for {
		first, err := s.AllocateProducerIDs(testContext(t), 1, b.Epoch, 1)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ack", first)
	}
}

// What was acknowledged before a SIGKILL is there afterwards, over several
// lives, with snapshots under way.
func TestStoreSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	last := int64(-1)
	for life := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acks := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var id int64
			if _, err := fmt.Sscanf(lines.Text(), "ack %d", &id); err != nil {
				t.Errorf("life %d: %s", life, lines.Text())
				continue
			}
			if id <= last {
				t.Fatalf("life %d: producer id %s given again", life, strconv.FormatInt(id, 10))
			}
			last = id
			if acks++; acks == 30+17*life {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
	}
	s := openStore(t, Options{Dir: dir, NodeID: 1})
	if got := s.Image().NextProducerID(); got <= last {
		t.Fatalf("next producer id %d, acknowledged %d", got, last)
	}
	if err := Check(s.Image()); err != nil {
		t.Fatal(err)
	}
}
