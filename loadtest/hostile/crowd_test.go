package hostile

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// peak runs f and returns by how much the heap grew meanwhile, at the most.
func peak(f func()) uint64 {
	before := heapInUse()
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		greatest := before
		for {
			select {
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				greatest = max(greatest, m.HeapInuse+m.StackInuse)
			case <-stop:
				done <- greatest - before
				return
			}
		}
	}()
	f()
	close(stop)
	return <-done
}

// greedy are requests of a few hundred KiB to a few MiB that ask for as much as
// they can.
func greedy(id [16]byte) map[string]kmsg.Request {
	const many = 50_000
	requests := make(map[string]kmsg.Request)

	configs := kmsg.NewPtrDescribeConfigsRequest()
	configs.Version, configs.IncludeSynonyms, configs.IncludeDocumentation = 4, true, true
	for i := range many {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
		if i%2 == 0 {
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
		}
		configs.Resources = append(configs.Resources, r)
	}
	requests["the settings of one topic and one broker, often"] = configs

	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 12
	for range many {
		rt := kmsg.NewMetadataRequestTopic()
		rt.TopicID = id
		meta.Topics = append(meta.Topics, rt)
	}
	requests["one topic by its id, often"] = meta

	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.ValidateOnly, create.TimeoutMillis = 7, true, 60_000
	for i := range many {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = fmt.Sprint("t", i), 1, 1
		create.Topics = append(create.Topics, rt)
	}
	requests["many topics that need not be created"] = create

	wide := kmsg.NewPtrCreateTopicsRequest()
	wide.Version, wide.ValidateOnly, wide.TimeoutMillis = 7, true, 60_000
	for i := range 1000 {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = fmt.Sprint("w", i), 100_000, 1
		wide.Topics = append(wide.Topics, rt)
	}
	requests["wide topics that need not be created"] = wide

	dirs := kmsg.NewPtrDescribeLogDirsRequest()
	dirs.Version = 4
	dt := kmsg.NewDescribeLogDirsRequestTopic()
	dt.Topic, dt.Partitions = topic, make([]int32, many)
	dirs.Topics = append(dirs.Topics, dt)
	requests["the size of one partition, often"] = dirs

	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 4, make([]string, many)
	requests["the coordinator of many groups"] = find

	groups := kmsg.NewPtrDescribeGroupsRequest()
	groups.Version, groups.Groups = 5, make([]string, many)
	for i := range groups.Groups {
		groups.Groups[i] = fmt.Sprint("g", i)
	}
	requests["many groups"] = groups

	fetch := fetchRequest(12, topic, 0, 0)
	fetch.Topics[0].Partitions = make([]kmsg.FetchRequestTopicPartition, many)
	for i := range fetch.Topics[0].Partitions {
		fetch.Topics[0].Partitions[i] = kmsg.NewFetchRequestTopicPartition()
		fetch.Topics[0].Partitions[i].PartitionMaxBytes = 1 << 30
	}
	requests["one partition, fetched often"] = fetch
	return requests
}

// greedyLimit bounds the memory that one request of a few MiB may cost.
const greedyLimit = 384 << 20

// TestGreedy asks for answers that are far greater than the questions.
func TestGreedy(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	findGroup(t, c, "g")
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, rt)
	n.createTopic(t, "broad", 1000)
	*rt.Topic = "broad"
	id := call[*kmsg.MetadataResponse](t, c, req).Topics[0].TopicID
	for name, req := range greedy(id) {
		body := req.AppendTo(nil)
		took := time.Now()
		grew := peak(func() {
			c := n.dial(t)
			defer c.close()
			c.send(t, req.Key(), req.GetVersion(), body)
			if _, err := c.receive(req.Key(), req.GetVersion()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		t.Logf("%-55s %5d KiB, cost %4d MiB, %v", name, len(body)>>10, grew>>20, time.Since(took).Round(time.Millisecond))
		if grew > greedyLimit {
			t.Errorf("%s: a request of %d KiB cost %d MiB", name, len(body)>>10, grew>>20)
		}
	}
	n.wellAfter(t, "greedy requests")
}

// TestGreedySessions opens fetch sessions for partitions that do not exist, and
// leaves them.
func TestGreedySessions(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	const partitions, sessions = 100_000, 6
	req := fetchRequest(12, "nowhere", 0, 0)
	req.Topics[0].Partitions = make([]kmsg.FetchRequestTopicPartition, partitions)
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i] = kmsg.NewFetchRequestTopicPartition()
		req.Topics[0].Partitions[i].Partition = int32(i)
	}
	req.SessionEpoch = 0
	body := req.AppendTo(nil)
	opened := 0
	for range sessions {
		reply, ok := c.exchange(t, 1, 12, body)
		if !ok {
			t.Fatal("closed")
		}
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = 12
		if err := resp.ReadFrom(reply); err != nil {
			t.Fatal(err)
		}
		if resp.SessionID != 0 {
			opened++
		}
	}
	grew := int64(heapInUse()-n.heap) >> 20
	t.Logf("sessions=%d of %d, cost %d MiB", opened, sessions, grew)
	if opened == 0 || opened == sessions || grew > 256 {
		t.Errorf("sessions=%d of %d with %d partitions each cost %d MiB", opened, sessions, partitions, grew)
	}
	n.heap += uint64(grew) << 20 // they are there until someone needs the room
}

// TestGreedyElements sends, from many connections at once, bodies that are small
// on the wire and great when they are decoded, without the structure that they
// promise.
func TestGreedyElements(t *testing.T) {
	n := start(t)
	var bodies []func() (api, []byte)
	for _, a := range n.served(t) {
		for _, f := range lengths(a) {
			if !f.array {
				continue
			}
			bodies = append(bodies, func() (api, []byte) {
				return a, append(f.with(sample(a, "t", 1).AppendTo(nil), 1<<20), make([]byte, 8<<20)...)
			})
		}
	}
	grew := peak(func() {
		var wait sync.WaitGroup
		limit := make(chan struct{}, 4)
		for i := 0; i < len(bodies); i += 16 { // each of them is 8 MiB: a part of them says as much as all
			wait.Add(1)
			limit <- struct{}{}
			go func() {
				defer wait.Done()
				defer func() { <-limit }()
				a, body := bodies[i]()
				c := n.dial(t)
				defer c.close()
				c.send(t, a.key, a.version, body)
				if _, err := c.receive(a.key, a.version); err == nil {
					t.Errorf("%s v%d: a million elements are answered", wire.KeyName(a.key), a.version)
				}
			}()
		}
		wait.Wait()
	})
	t.Logf("requests=%d cost %d MiB", len(bodies)/16, grew>>20)
	if grew > greedyLimit {
		t.Errorf("requests with a million elements cost %d MiB", grew>>20)
	}
	n.wellAfter(t, "a million elements")
}
