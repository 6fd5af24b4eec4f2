package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/loadtest/verify"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

// brokers is the size of the cluster. One may be away, and two make a majority.
const brokers = 3

// scene is everything that a fault may be done to.
type scene struct {
	t        *testing.T
	cluster  *brokertest.Cluster
	store    *proxy
	dirs     []string // the brokers' data
	isolated bool
	dir      string // histories and logs
	random   *rand.Rand
	run      *verify.Run
	topic    string // whose leaders are killed
	// committed is the group's offset in the run's topic at the last rest.
	committed int64
}

// isolated makes the networks, which all tests of the process share.
var isolated = sync.OnceValue(func() error { return isolate(brokers) })

// newScene starts a cluster and its object store; further are settings of its brokers, key=value.
func newScene(t *testing.T, further ...string) *scene {
	t.Helper()
	return newSceneOf(t, "", further...)
}

// newSceneOf is newScene with brokers that run a program.
func newSceneOf(t *testing.T, program string, further ...string) *scene {
	t.Helper()
	s := &scene{t: t, isolated: os.Getenv(isolatedVariable) != "", dir: *keep, random: rand.New(rand.NewPCG(*seed, 0))}
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	var err error
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	at := "127.0.0.1"
	var places []brokertest.Place
	disks := t.TempDir()
	for b := range brokers {
		s.dirs = append(s.dirs, filepath.Join(disks, strconv.Itoa(b+1)))
	}
	if s.isolated {
		at = testHost()
		if err := isolated(); err != nil {
			t.Fatal(err)
		}
		for b, dir := range s.dirs {
			places = append(places, brokertest.Place{Host: host(b), Within: within(b)})
			if err := mountDisk(dir+".image", dir); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unmountDisk(dir); err != nil {
					t.Error(err)
				}
			})
		}
	} else {
		t.Logf("no networks and disks of the brokers' own: %s", os.Getenv(plainVariable))
	}
	t.Cleanup(forgetSlowDisks)
	minio := objstoretest.StartMinIO(t)
	if s.store, err = startProxy(at, minio.Endpoint, rand.New(rand.NewPCG(*seed, 1))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.store.close(); err != nil {
			t.Error(err)
		}
	})
	settings := map[string]string{
		// Everything that happens in hours is to happen in seconds.
		"tier.roll.ms": "400", "tier.roll.bytes": "256KiB", "tier.garbage.grace.ms": "20000", "log.retention.check.interval.ms": "1000",
		"group.consumer.min.session.timeout.ms": "6000", "group.consumer.session.timeout.ms": "6000",
		"group.streams.min.session.timeout.ms": "6000", "group.streams.session.timeout.ms": "6000",
		"group.streams.min.heartbeat.interval.ms": "1000", "group.streams.heartbeat.interval.ms": "1000",
		"group.consumer.min.heartbeat.interval.ms": "1000", "group.consumer.heartbeat.interval.ms": "1000",
		"leader.imbalance.check.interval.seconds": "5", "replica.lag.time.max.ms": "5000",
		"wal.max.bytes": "512MiB", "wal.file.bytes": "16MiB", "wal.tail.bytes": "16MiB", "cache.memory.bytes": "16MiB",
	}
	for _, x := range further {
		key, value, _ := strings.Cut(x, "=")
		settings[key] = value
	}
	s.cluster = brokertest.StartCluster(t, brokers, brokertest.ClusterOptions{
		Dirs: s.dirs, Places: places, Env: minio.Env(), Logs: s.dir,
		ObjectStore: "s3://" + minio.Bucket + "/chaos?endpoint=http://" + s.store.addr + "&region=us-east-1&path_style=true&driver=minio",
		Settings:    settings, Binary: program,
	})
	return s
}

// hold lets a fault last.
func (s *scene) hold(ctx context.Context, d time.Duration) {
	wait(ctx, nil, d)
}

// between is a time from a range.
func (s *scene) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)+1))
}

// leader is that of some partition of the topic.
func (s *scene) leader(ctx context.Context) (int, error) {
	return s.cluster.Leader(ctx, s.topic, int32(s.random.IntN(partitions)))
}

// follower is a broker that does not lead a partition.
func (s *scene) follower(ctx context.Context) (int, error) {
	leader, err := s.leader(ctx)
	return (leader + 1 + s.random.IntN(brokers-1)) % brokers, err
}

func (s *scene) controller(ctx context.Context) (int, error) { return s.cluster.Controller(ctx) }

func (s *scene) any(context.Context) (int, error) { return s.random.IntN(brokers), nil }

// restart starts a broker again that may have ended.
func (s *scene) restart(b int) error {
	if s.cluster.Broker(b).Ended() {
		s.cluster.Restart(b)
	}
	return nil
}

// all does something for all brokers.
func all(do func(b int) error) error {
	var errs []error
	for b := range brokers {
		errs = append(errs, do(b))
	}
	return errors.Join(errs...)
}
