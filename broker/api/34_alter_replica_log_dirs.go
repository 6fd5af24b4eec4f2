package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterReplicaLogDirs answers AlterReplicaLogDirs. A broker has one directory, which all
// partitions share, so there is nowhere to move a replica to: the answers are those of a
// broker of Kafka with one directory, and a partition that is already there is no error.
func alterReplicaLogDirs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	type place struct{ topic, partition int } // in the response
	places := make(map[topicPartition]place)
	topics := make(map[string]int)
	for i := range req.Dirs {
		d := &req.Dirs[i]
		for j := range d.Topics {
			t := &d.Topics[j]
			for _, index := range t.Partitions {
				code := c.API.moveToDir(d.Dir, t.Topic, index)
				id := topicPartition{t.Topic, index}
				if at, twice := places[id]; twice { // the directory that is named last counts
					resp.Topics[at.topic].Partitions[at.partition].ErrorCode = code
					continue
				}
				at, ok := topics[t.Topic]
				if !ok {
					at = len(resp.Topics)
					topics[t.Topic] = at
					rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
					rt.Topic = t.Topic
					resp.Topics = append(resp.Topics, rt)
				}
				rt := &resp.Topics[at]
				places[id] = place{at, len(rt.Partitions)}
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition, rp.ErrorCode = index, code
				rt.Partitions = append(rt.Partitions, rp)
			}
		}
	}
	return resp
}

// moveToDir says what becomes of the wish to have a replica of this broker in a directory.
func (a *API) moveToDir(dir, topic string, index int32) int16 {
	switch {
	case dir != a.Config.DataDir:
		return kerr.LogDirNotFound.Code
	case a.Partitions.Get(topic, index) != nil:
		return 0
	}
	image := a.Metadata.Image()
	if t, ok := image.Topic(topic); ok {
		if _, ok := image.PartitionOf(t, index); ok {
			return kerr.ReplicaNotAvailable.Code // other brokers have it
		}
	}
	return kerr.UnknownTopicOrPartition.Code
}
