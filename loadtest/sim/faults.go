package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/memnet"
	"github.com/tidelinehq/tideline/internal/vfs/errfs"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
)

// busy carries out the faults of the plan, each at its time.
func (c *cluster) busy() {
	at := c.now()
	for _, f := range c.plan.Faults {
		pause(context.Background(), at+f.At-c.now())
		c.trace("-- %s", f)
		c.inject(f)
	}
	pause(context.Background(), at+c.plan.Busy-c.now())
	c.admins.Wait()
}

// ask does something that an operator asks for, beside the rest.
func (c *cluster) ask(f func(admin *client)) {
	c.admins.Go(func() {
		admin := c.client("admin")
		defer admin.close()
		f(admin)
	})
}

// later does something when a fault is over.
func (c *cluster) later(d time.Duration, f func()) {
	c.work.Go(func() {
		pause(context.Background(), d)
		f()
	})
}

// restart starts a process later.
func (c *cluster) restart(n *node, d time.Duration) { c.later(d, n.start) }

func (c *cluster) inject(f Fault) {
	n := c.nodes[f.Node-1]
	a, b := c.ip(f.Node), c.ip(f.Peer)
	switch f.Kind {
	case Kill, Power, Wipe:
		n.end(f.Kind)
		c.restart(n, f.For)
	case PowerAll:
		for _, n := range c.nodes {
			n.end(Power)
			c.restart(n, f.For+time.Duration(f.Pick>>(8*n.id)%256)*4*time.Millisecond) // not all at the same moment
		}
	case Stop:
		c.work.Go(func() {
			if err := n.stop(stopPatience); err != nil {
				c.trace("broker=%d stopped with: %v", n.id, err)
			}
			c.restart(n, f.For)
		})
	case Isolate:
		c.separate(f, true, true)
	case Deaf:
		c.separate(f, false, true)
	case Mute:
		c.separate(f, true, false)
	case Cut:
		c.net.Cut(a, b)
		c.net.Cut(b, a)
		c.later(f.For, func() { c.net.Heal(a, b); c.net.Heal(b, a) })
	case CutOneWay:
		c.net.Cut(a, b)
		c.later(f.For, func() { c.net.Heal(a, b) })
	case SlowLink:
		usual := memnet.Link{Latency: 200 * time.Microsecond, Jitter: 800 * time.Microsecond}
		c.net.SetLink(a, b, memnet.Link{Latency: time.Duration(f.Pick % uint64(400*time.Millisecond)), Jitter: 50 * time.Millisecond, Rate: 64 << 10})
		c.later(f.For, func() { c.net.SetLink(a, b, usual) })
	case Reset:
		c.net.Reset(a, b)
	case SlowDisk, FullDisk, BadSync:
		c.disk(n, f)
	case StoreDown, StoreSlow, StoreFlaky, StoreCorrupts:
		c.away(f)
	case Failover:
		c.ensemble.failover()
	case CreateTopic:
		c.ask(func(admin *client) {
			c.addTopic(admin, topic{fmt.Sprintf("t%x", f.Pick>>48), 1 + int32(f.Pick%3), f.Pick%2 == 0})
		})
	case Reassign, Elect:
		c.change(f)
	case DeleteRecords:
		c.ask(func(admin *client) { c.deleteRecords(admin, f) })
	case Configure:
		c.ask(func(admin *client) { c.configure(admin, f) })
	}
}

// separate cuts a machine off from all other brokers and, mostly, from clients.
func (c *cluster) separate(f Fault, out, in bool) {
	others := []string{}
	for _, n := range c.nodes {
		if n.id != f.Node {
			others = append(others, c.ip(n.id))
		}
	}
	a := c.ip(f.Node)
	for _, b := range others {
		if out {
			c.net.Cut(a, b)
		}
		if in {
			c.net.Cut(b, a)
		}
	}
	c.later(f.For, func() {
		for _, b := range others {
			c.net.Heal(a, b)
			c.net.Heal(b, a)
		}
	})
}

// hurtFor is how long a broker may end by itself because of its disk, at the longest: a disk that was full is found
// out when the next file is made.
const hurtFor = 30 * time.Second

// disk does something to the disk of a process.
func (c *cluster) disk(n *node, f Fault) {
	c.mu.Lock()
	p, mem := n.process, n.mem
	if p == nil {
		c.mu.Unlock()
		return
	}
	if f.Kind != SlowDisk {
		c.hurt[n.id]++
		c.later(f.For+hurtFor, func() {
			c.mu.Lock()
			c.hurt[n.id]--
			c.mu.Unlock()
		})
	}
	c.mu.Unlock()
	switch f.Kind {
	case SlowDisk:
		p.disk.setSlow(time.Duration(f.Pick % uint64(500*time.Millisecond)))
		c.later(f.For, func() { p.disk.setSlow(0) })
	case FullDisk:
		u, err := mem.DiskUsage("/data")
		if err != nil {
			return
		}
		room := int64(f.Pick % (8 << 20))
		mem.SetTotal(u.Total - u.Free + room)
		c.later(f.For, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			mem.SetTotal(u.Total)
			n.mem.SetTotal(u.Total) // it may be a copy by now
		})
	case BadSync:
		p.disk.Inject(errfs.Fault{Op: errfs.Sync, Match: "*", Skip: int(f.Pick % 20), Count: 1, Err: syscall.EIO})
	}
}

// away does something to the object store.
func (c *cluster) away(f Fault) {
	r := rand.New(rand.NewPCG(f.Pick, 1))
	rule := func(ops faultstore.Op, fault faultstore.Fault, p float64, delay time.Duration) faultstore.Rule {
		return faultstore.Rule{Ops: ops, Fault: fault, Probability: p, Delay: delay}
	}
	switch f.Kind {
	case StoreDown:
		c.store.SetDown(true)
	case StoreSlow:
		c.store.Add(rule(faultstore.AnyOp, faultstore.Slow, 0.5, time.Duration(r.Int64N(int64(5*time.Second)))))
	case StoreFlaky:
		c.store.Add(
			rule(faultstore.AnyOp, faultstore.Unavailable, 0.1, 0), rule(faultstore.Put, faultstore.SlowDown, 0.2, 0),
			rule(faultstore.Put|faultstore.Delete, faultstore.LostReply, 0.2, 0), rule(faultstore.Put, faultstore.Conflict, 0.05, 0),
			rule(faultstore.Delete, faultstore.PartialDelete, 0.3, 0), rule(faultstore.Get, faultstore.ShortBody, 0.2, 0),
			rule(faultstore.AnyOp, faultstore.LateReply, 0.1, time.Duration(r.Int64N(int64(2*time.Second)))),
			rule(faultstore.Get, faultstore.StalledBody, 0.05, time.Second),
		)
	case StoreCorrupts:
		c.store.Add(rule(faultstore.Get, faultstore.CorruptBody, 0.2, 0))
	}
	c.later(f.For, c.store.Heal)
}

// administer carries out a change that operators ask for, on the leader of the metadata.
func (c *cluster) administer(decide func(*metadata.Image, controller.Policy) (record.PartitionChange, bool)) {
	m := c.ensemble.leading()
	if m == nil {
		return
	}
	change, ok := decide(c.image(), controller.Policy{MinISR: 2})
	if !ok {
		return
	}
	b, err := record.Append(nil, &record.ChangePartition{Entries: []record.PartitionChange{change}})
	if err != nil {
		c.violate("admin", "%v", err)
		return
	}
	c.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _, err := m.Propose(ctx, b)
		c.trace("topic %x/%d: leader=%d replicas=%v: err=%v", change.Topic[:2], change.Partition, change.Leader, change.Replicas, err)
	})
}

// pick chooses a partition.
func pick(image *metadata.Image, n uint64) (*metadata.Topic, *metadata.Partition) {
	count := uint64(image.PartitionCount())
	if count == 0 {
		return nil, nil
	}
	i := uint64(0)
	for t, p := range image.AllPartitions() {
		if i == n%count {
			return t, p
		}
		i++
	}
	return nil, nil
}

// change reassigns a partition, or has its preferred replica elected.
func (c *cluster) change(f Fault) {
	c.administer(func(image *metadata.Image, policy controller.Policy) (record.PartitionChange, bool) {
		t, p := pick(image, f.Pick)
		if t == nil {
			return record.PartitionChange{}, false
		}
		if f.Kind == Elect {
			change, err := policy.Elect(image, t.ID, p.Index, controller.ElectPreferred)
			return change, err == nil
		}
		r := rand.New(rand.NewPCG(f.Pick, 2))
		order := r.Perm(c.plan.Brokers)
		wish := controller.Reassignment{Topic: t.ID, Partition: p.Index}
		for _, id := range order[:min(3, c.plan.Brokers)] {
			wish.Replicas = append(wish.Replicas, int32(id+1))
		}
		done := policy.Reassign(image, []controller.Reassignment{wish}, controller.DefaultLimits)[0]
		if done.Err != nil {
			c.trace("reassign %s/%d to %v: %v", t.Name, p.Index, wish.Replicas, done.Err)
		}
		return done.Change, done.Err == nil && done.Needed
	})
}

// addTopic creates a topic and sets clients to work on it.
func (c *cluster) addTopic(admin *client, t topic) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 7, 5000
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.name, t.parts, 3
		req.Topics = append(req.Topics, rt)
		resp, err := admin.call(ctx, admin.any(), req, 8*time.Second)
		if err == nil {
			code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
			if err = kerr.ErrorForCode(code); err == nil || err == kerr.TopicAlreadyExists {
				break
			}
		}
		if !pause(ctx, 200*time.Millisecond) {
			c.trace("topic %s was not created: %v", t.name, err)
			return
		}
	}
	c.mu.Lock()
	c.topics = append(c.topics, t)
	c.mu.Unlock()
	for i, s := range styles {
		p := c.producer(fmt.Sprintf("%s-p%d", t.name, i), t.name, t.parts, s)
		c.writers.Go(func() { p.run(c.writing, c.deadline) })
	}
	for i := range 2 {
		k := c.consumer(fmt.Sprintf("%s-c%d", t.name, i), t.name, t.parts)
		c.readers.Go(func() { k.run(c.reading) })
	}
}

// deleteRecords moves the log start of a partition of which it is allowed.
func (c *cluster) deleteRecords(admin *client, f Fault) {
	var all []spot
	c.mu.Lock()
	for _, t := range c.topics {
		for i := range t.parts {
			if t.deletes {
				all = append(all, spot{t.name, i})
			}
		}
	}
	c.mu.Unlock()
	if len(all) == 0 {
		return
	}
	s := all[f.Pick%uint64(len(all))]
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l, ok := admin.find(ctx, s, true)
	if !ok {
		return
	}
	start, end, err := admin.bounds(ctx, s, l.node, l.epoch)
	if err != nil || end <= start {
		return
	}
	to := start + int64(f.Pick>>8%uint64(end-start))
	c.history.allow(s, to)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, 5000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = s.topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = s.index, to
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := admin.call(ctx, l.node, req, 8*time.Second)
	if err == nil {
		r := &resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
		err = kerr.ErrorForCode(r.ErrorCode)
	}
	c.trace("delete records of %s below %d: err=%v", s, to, err)
}

// configure changes a setting of a topic.
func (c *cluster) configure(admin *client, f Fault) {
	settings := [][2]string{
		{"local.retention.bytes", "0"}, {"local.retention.bytes", "-2"}, {"retention.bytes", "200000"}, {"retention.bytes", "-1"},
		{"retention.ms", "8000"}, {"retention.ms", "-1"}, {"max.message.bytes", "1048588"},
	}
	set := settings[f.Pick%uint64(len(settings))]
	c.mu.Lock()
	t := c.topics[f.Pick>>8%uint64(len(c.topics))]
	c.mu.Unlock()
	if !t.deletes && (set[0] == "retention.bytes" || set[0] == "retention.ms") {
		return // nothing of it may go
	}
	for i := range t.parts {
		if t.deletes {
			c.history.allow(spot{t.name, i}, -1)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, t.name
	kv := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	kv.Name, kv.Value = set[0], &set[1]
	r.Configs = append(r.Configs, kv)
	req.Resources = append(req.Resources, r)
	_, err := admin.call(ctx, admin.any(), req, 8*time.Second)
	c.trace("topic %s: %s=%s: err=%v", t.name, set[0], set[1], err)
}

// heal ends all that is wrong, and starts what is down.
func (c *cluster) heal() {
	c.net.HealAll()
	c.store.Heal()
	c.mu.Lock()
	for _, n := range c.nodes {
		n.mem.SetTotal(max(c.o.DiskBytes, 1<<40))
		if n.process != nil {
			n.process.disk.Clear()
			n.process.disk.setSlow(0)
		}
	}
	c.mu.Unlock()
	for _, n := range c.nodes {
		n.start()
	}
}
