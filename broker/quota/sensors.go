package quota

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// sensorKey is who shares a limit.
type sensorKey struct {
	kind               Kind
	byUser, byClientID bool
	user, client       string
	ip                 netip.Addr
}

// sensor is what those who share a limit took lately. Guarded by its shard.
type sensor struct {
	rate   rate
	bucket bucket
	used   int64 // ms
}

// idle is how long a sensor is kept that nobody uses.
const idle = time.Hour

// shards divide the sensors, so that clients seldom wait for one another.
const shards = 16

// sensors are a bounded number of them.
type sensors struct {
	seed   maphash.Seed
	max    int // of each shard
	shards [shards]shard
}

type shard struct {
	mu sync.Mutex
	m  map[sensorKey]*sensor
}

func newSensors(bound int) *sensors {
	s := &sensors{seed: maphash.MakeSeed(), max: max(bound/shards, 1)}
	for i := range s.shards {
		s.shards[i].m = make(map[sensorKey]*sensor)
	}
	return s
}

// with runs f on the sensor of a key, alone.
func (s *sensors) with(key sensorKey, now int64, f func(*sensor)) {
	sh := &s.shards[maphash.Comparable(s.seed, key)%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	x := sh.m[key]
	if x == nil {
		if len(sh.m) >= s.max {
			sh.makeRoom(now)
		}
		x = new(sensor)
		sh.m[key] = x
	}
	x.used = now
	f(x)
}

// makeRoom drops the sensors that nobody used for long, or else the one that was used longest ago. It looks at all of a shard, whose number is
// bounded, and is called only for clients that were not seen before.
func (sh *shard) makeRoom(now int64) {
	var oldest sensorKey
	first, dropped := int64(0), false
	found := false
	for key, x := range sh.m {
		if now-x.used >= idle.Milliseconds() {
			delete(sh.m, key)
			dropped = true
			continue
		}
		if !found || x.used < first {
			oldest, first, found = key, x.used, true
		}
	}
	if !dropped && found {
		delete(sh.m, oldest)
	}
}

// len is the number of sensors.
func (s *sensors) len() (n int) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].m)
		s.shards[i].mu.Unlock()
	}
	return n
}
