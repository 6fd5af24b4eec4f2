package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/partition"
)

// remoteLogDir is the name under which DescribeLogDirs lists what lies in the
// object store.
const remoteLogDir = "remote"

// describeLogDirs answers DescribeLogDirs: one directory for the write-ahead log
// and one that stands for the object store.
func describeLogDirs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeLogDirsRequest)
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	a := c.API
	local, remote := kmsg.NewDescribeLogDirsResponseDir(), kmsg.NewDescribeLogDirsResponseDir()
	local.Dir, remote.Dir = a.Config.DataDir, remoteLogDir
	local.TotalBytes, local.UsableBytes = a.DiskUsage()
	remote.TotalBytes, remote.UsableBytes = -1, -1

	add := func(p *partition.Partition) {
		bytes, err := p.LocalBytes()
		if err != nil {
			a.logger.Warn("size of local log unknown", "topic", p.Topic(), "partition", p.ID().Partition, "error", err)
			bytes = -1
		}
		addReplica(&local, p, bytes)
		if ledger, ok := a.History.Ledger(p.ID()); ok && ledger.Segments > 0 {
			addReplica(&remote, p, ledger.LogBytes)
		}
	}
	if req.Topics == nil {
		for _, p := range a.Partitions.All() {
			add(p)
		}
	}
	for _, t := range req.Topics {
		for _, index := range t.Partitions {
			if p := a.Partitions.Get(t.Topic, index); p != nil {
				add(p)
			}
		}
	}
	resp.Dirs = append(resp.Dirs, local)
	if len(remote.Topics) > 0 {
		resp.Dirs = append(resp.Dirs, remote)
	}
	return resp
}

func addReplica(d *kmsg.DescribeLogDirsResponseDir, p *partition.Partition, bytes int64) {
	if n := len(d.Topics); n == 0 || d.Topics[n-1].Topic != p.Topic() {
		t := kmsg.NewDescribeLogDirsResponseDirTopic()
		t.Topic = p.Topic()
		d.Topics = append(d.Topics, t)
	}
	t := &d.Topics[len(d.Topics)-1]
	rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
	rp.Partition, rp.Size = p.ID().Partition, bytes
	t.Partitions = append(t.Partitions, rp)
}
