package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/internal/memnet"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
)

// Options of a run, beside its plan.
type Options struct {
	Set       []string   // settings of the brokers, key=value, behind those of the simulation
	Level     slog.Level // of the brokers' logs
	DiskBytes int64      // of each machine; 0: 1 TiB
	// RaftDir, when set, has the metadata log of production, hashicorp/raft, in a folder below it on the real disk, in
	// place of the twin. What is asked of the controller directly is left out then.
	RaftDir string
}

// Violation is something that must never be.
type Violation struct {
	Check string
	Text  string
}

// String is one line.
func (v Violation) String() string { return v.Check + ": " + v.Text }

// maxViolations bounds what is kept of a run that goes wrong again and again: the first say why.
const maxViolations = 20

// Report is what became of a run.
type Report struct {
	Violations  []Violation
	Trace       []string // what happened, with the virtual time
	Acked, Read int64    // records
	Known       int      // offsets of which it is known what is there
	Logs        map[int32][]byte
}

// Failed reports whether anything was wrong.
func (r *Report) Failed() bool { return len(r.Violations) > 0 }

// String says what went wrong and what happened.
func (r *Report) String() string {
	var b strings.Builder
	for _, v := range r.Violations {
		fmt.Fprintln(&b, "violation", v)
	}
	for _, t := range r.Trace {
		fmt.Fprintln(&b, t)
	}
	return b.String()
}

// cluster is a run.
type cluster struct {
	plan     *Plan
	o        Options
	began    time.Time
	net      *memnet.Network
	bucket   *memstore.Store
	store    *faultstore.Store
	ensemble *ensemble
	observer *observer
	history  *history
	pace     time.Duration // the longest pause of a client between requests

	nodes  []*node        // by id, less one
	work   sync.WaitGroup // processes, and what reverts faults
	ghosts sync.WaitGroup // processes that were ended

	acked, read atomic.Int64

	mu         sync.Mutex // guards what follows, and the nodes
	clients    int
	topics     []topic
	hurt       map[int32]int // disks of which something is wrong
	random     *rand.Rand
	exact      map[string]bool // producers that are idempotent
	violations []Violation
	lines      []string
	writers    sync.WaitGroup
	readers    sync.WaitGroup
	admins     sync.WaitGroup
	writing    context.Context // ends when producers are to begin nothing new
	reading    context.Context
	deadline   context.Context // for what is under way
}

// topic is one that clients use.
type topic struct {
	name    string
	parts   int32
	deletes bool // DeleteRecords may be asked for
}

// image returns the newest metadata.
func (c *cluster) image() *metadata.Image {
	if c.o.RaftDir == "" {
		return c.observer.Image()
	}
	newest := new(metadata.Image)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.process == nil {
			continue
		}
		if i := n.process.b.Image(); i != nil && i.Index() >= newest.Index() {
			newest = i
		}
	}
	return newest
}

func (c *cluster) now() time.Duration { return time.Since(c.began) }

// trace notes what happened.
func (c *cluster) trace(format string, args ...any) {
	line := fmt.Sprintf("%8.3fs %s", c.now().Seconds(), fmt.Sprintf(format, args...))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
}

// violate notes what must never be. It may be called with locks of the parts held, but not the cluster's.
func (c *cluster) violate(check, format string, args ...any) {
	v := Violation{check, fmt.Sprintf("%8.3fs %s", c.now().Seconds(), fmt.Sprintf(format, args...))}
	go func() { // so that the caller may hold what it likes
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.violations) < maxViolations {
			c.violations = append(c.violations, v)
		}
	}()
}

// choose is what a loss of power leaves. The mutex is held.
func (c *cluster) choose(n int) int { return c.random.IntN(n) }

// unique says that the records of a producer are where they are once, in order and without gaps.
func (c *cluster) unique(p *producer) {
	c.uniqueName(p.name, p.parts)
}

func (c *cluster) uniqueName(name string, parts int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range parts {
		c.exact[fmt.Sprintf("%s.%d", name, i)] = true
	}
}

func (c *cluster) isExact(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exact[name]
}

// Run carries a plan out. It is called in a testing/synctest bubble, whose time it uses.
func Run(plan *Plan, o Options) *Report {
	c := &cluster{
		plan: plan, o: o, began: time.Now(), pace: 40 * time.Millisecond,
		net:    memnet.New(plan.Seed, memnet.Link{Latency: 200 * time.Microsecond, Jitter: 800 * time.Microsecond}),
		bucket: memstore.New(nil), hurt: make(map[int32]int), exact: make(map[string]bool),
		random: rand.New(rand.NewPCG(plan.Seed, 0x63727368)),
	}
	c.store = faultstore.New(c.bucket, plan.Seed)
	c.observer = newObserver(c.violate)
	c.history = newHistory(c.violate)
	c.ensemble = newEnsemble(plan.Seed, c.net, c.ip, c.private)
	c.ensemble.twin.Join("observer", c.observer, true)
	elections, endElections := context.WithCancel(context.Background())
	c.work.Go(func() { c.ensemble.run(elections) })
	for id := range int32(plan.Brokers) {
		c.nodes = append(c.nodes, &node{c: c, id: id + 1, mem: memfs.New(o.DiskBytes), log: new(logTail)})
	}
	for _, n := range c.nodes {
		n.start()
	}
	c.live()
	endElections()
	c.work.Wait()
	c.ghosts.Wait()
	pause(context.Background(), time.Second) // violations are noted on goroutines of their own
	r := &Report{Violations: c.violations, Trace: c.lines, Acked: c.acked.Load(), Read: c.read.Load(), Logs: make(map[int32][]byte)}
	r.Known, _ = c.history.seen()
	for _, n := range c.nodes {
		r.Logs[n.id] = n.log.bytes()
	}
	return r
}

// Bounds of the phases, in virtual time.
const (
	formPatience     = 60 * time.Second
	writePatience    = 60 * time.Second
	convergePatience = 120 * time.Second
	stopPatience     = 40 * time.Second
)

// live is the life of a cluster.
func (c *cluster) live() {
	defer func() {
		c.mu.Lock()
		for _, n := range c.nodes {
			n.dead = true
		}
		c.mu.Unlock()
		for _, n := range c.nodes {
			n.end(Kill)
		}
	}()
	if !c.await(formPatience, "the cluster to form", func() string { return c.unsettled(false) }) {
		return
	}
	var stopWriting, stopReading, giveUp context.CancelFunc
	c.writing, stopWriting = context.WithCancel(context.Background())
	c.reading, stopReading = context.WithCancel(context.Background())
	c.deadline, giveUp = context.WithCancel(context.Background())
	defer giveUp()
	defer stopReading()
	defer stopWriting()
	admin := c.client("admin")
	defer admin.close()
	for _, t := range []topic{{"orders", 2, false}, {"clicks", 2, true}} {
		c.addTopic(admin, t)
		p := &stream{c, t.name + "-s", t.name, t.parts}
		c.writers.Go(func() { p.run(c.writing, c.deadline) })
		k := c.committer(t.name+"-offsets", t.name)
		c.writers.Go(func() { k.run(c.writing, c.deadline) })
	}
	c.busy()
	c.trace("all heals")
	c.heal()
	stopWriting()
	patience := time.AfterFunc(writePatience, giveUp)
	c.writers.Wait()
	patience.Stop()
	converged := c.await(convergePatience, "the cluster to converge", func() string { return c.unsettled(true) })
	stopReading()
	c.readers.Wait()
	if converged {
		c.finish()
	}
}

// await waits until nothing is in the way any more. It is false, and a violation, when that takes too long.
func (c *cluster) await(patience time.Duration, what string, inTheWay func() string) bool {
	began := time.Now()
	for {
		why := inTheWay()
		if why == "" {
			c.trace("%s took %s", what, time.Since(began))
			return true
		}
		if time.Since(began) > patience {
			c.violate("convergence", "still waiting for %s after %s: %s", what, patience, why)
			return false
		}
		pause(context.Background(), 200*time.Millisecond)
	}
}
