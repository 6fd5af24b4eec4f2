package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/devtools"
	"github.com/tidelinehq/tideline/loadtest/once"
)

var (
	rounds  = flag.Int("rounds", 3, "how many faults a campaign has")
	seed    = flag.Uint64("seed", 1, "from which the faults are chosen")
	only    = flag.String("only", "", "the faults to choose from, separated by commas; empty: all")
	leg     = flag.Int("leg", 5, "how many rounds share a run of verify")
	keep    = flag.String("keep", "", "a directory for the histories and the logs; empty: a temporary one")
	lasts   = flag.Duration("lasts", 20*time.Second, "how long TestExactlyOnce has faults happen")
	members = flag.Int("members", 10, "of each group of TestGroups")
	owned   = flag.Int("owned", 40, "the partitions that they share")
	kills   = flag.Int("kills", 5, "how many members are killed, five at a time, and a coordinator each time")
	slack   = flag.Int("slack", 4, "how often the time that a cluster is given to recover is taken, for a machine that does other things, too")
	from    = flag.String("from", "", "TestUpgrade begins with the program of this revision; empty: that of this source")
	plain   = flag.Bool("plain", false, "all brokers on loopback, even where they could have networks and disks of their own")
)

// stretched is how long a cluster may take for what it must do in d.
func stretched(d time.Duration) time.Duration { return time.Duration(*slack) * d }

// Set in the process that has a network of its own, and why there is none.
const (
	isolatedVariable = "TIDELINE_CHAOS_ISOLATED"
	plainVariable    = "TIDELINE_CHAOS_PLAIN"
	olderVariable    = "TIDELINE_CHAOS_OLDER" // the program of -from
)

// buildTimeout bounds the first build of MinIO.
const buildTimeout = 15 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(once.WorkerVariable) != "" {
		if err := once.WorkFromEnvironment(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(isolatedVariable) == "" && os.Getenv(plainVariable) == "" {
		os.Exit(again())
	}
	os.Exit(m.Run())
}

// again runs this program once more, in a place of its own where that can be. What has to be built is built first: there is no way
// to a registry from in there.
func again() int {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	binary, err := brokertest.Binary()
	if err == nil {
		_, err = devtools.Path(ctx, "minio")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	older := binary
	if *from != "" {
		older, err = brokertest.BinaryOf(*from)
	}
	if err = errors.Join(err, os.Setenv(brokertest.BinaryVariable, binary), os.Setenv(olderVariable, older)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	p, err := rerun()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {
	case <-p.Done():
	case <-signals:
		_ = p.Kill() // it takes all its children with it
	}
	if p.Err() != nil {
		return 1
	}
	return 0
}
