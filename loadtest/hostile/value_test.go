package hostile

import (
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// badNames are names that no topic can have.
var badNames = map[string]string{
	"empty":         "",
	"a dot":         ".",
	"two dots":      "..",
	"250 bytes":     strings.Repeat("n", 250),
	"32767 bytes":   strings.Repeat("n", math.MaxInt16),
	"a slash":       "a/b",
	"path upwards":  "../../etc/passwd",
	"a space":       "a b",
	"a colon":       "a:b",
	"a zero byte":   "a\x00b",
	"a line break":  "a\nb",
	"invalid UTF-8": "a\xff\xfeb",
	"not ASCII":     "tïde",
}

func expectCode(t *testing.T, what string, got int16, want *kerr.Error) {
	t.Helper()
	wanted := int16(0)
	if want != nil {
		wanted = want.Code
	}
	if got != wanted {
		t.Errorf("%s: code=%d (%v), want %d (%v)", what, got, kerr.ErrorForCode(got), wanted, want)
	}
}

func TestTopicNames(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	for what, name := range badNames {
		create := kmsg.NewPtrCreateTopicsRequest()
		create.Version, create.TimeoutMillis = 7, 5000
		ct := kmsg.NewCreateTopicsRequestTopic()
		ct.Topic, ct.NumPartitions, ct.ReplicationFactor = name, 1, 1
		create.Topics = append(create.Topics, ct)
		expectCode(t, "create: "+what, call[*kmsg.CreateTopicsResponse](t, c, create).Topics[0].ErrorCode, kerr.InvalidTopicException)

		for _, auto := range []bool{false, true} {
			meta := kmsg.NewPtrMetadataRequest()
			meta.Version, meta.AllowAutoTopicCreation = 9, auto
			mt := kmsg.NewMetadataRequestTopic()
			mt.Topic = &name
			meta.Topics = append(meta.Topics, mt)
			expectCode(t, "metadata: "+what, call[*kmsg.MetadataResponse](t, c, meta).Topics[0].ErrorCode, kerr.InvalidTopicException)
		}

		describe := kmsg.NewPtrDescribeConfigsRequest()
		describe.Version = 4
		dr := kmsg.NewDescribeConfigsRequestResource()
		dr.ResourceType, dr.ResourceName = kmsg.ConfigResourceTypeTopic, name
		describe.Resources = append(describe.Resources, dr)
		expectCode(t, "describe configs: "+what, call[*kmsg.DescribeConfigsResponse](t, c, describe).Resources[0].ErrorCode, kerr.InvalidTopicException)

		alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
		alter.Version = 1
		ar := kmsg.NewIncrementalAlterConfigsRequestResource()
		ar.ResourceType, ar.ResourceName = kmsg.ConfigResourceTypeTopic, name
		alter.Resources = append(alter.Resources, ar)
		want := kerr.InvalidTopicException
		if name == "" {
			want = kerr.InvalidRequest // the defaults of all topics cannot be set
		}
		expectCode(t, "alter configs: "+what, call[*kmsg.IncrementalAlterConfigsResponse](t, c, alter).Resources[0].ErrorCode, want)

		// Where a topic has to exist, one that cannot exist does not.
		p := call[*kmsg.ProduceResponse](t, c, produceRequest(9, name, 0, batchOf("x")))
		expectCode(t, "produce: "+what, p.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		f := call[*kmsg.FetchResponse](t, c, fetchRequest(12, name, 0, 0))
		expectCode(t, "fetch: "+what, f.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		expectCode(t, "list offsets: "+what, listOffsets(t, c, name, []int32{0}, -1)[0].ErrorCode, kerr.UnknownTopicOrPartition)
		expectCode(t, "delete: "+what, deleteTopics(t, c, name)[0].ErrorCode, kerr.UnknownTopicOrPartition)
	}
	n.wellAfter(t, "bad names")
}

func listOffsets(t *testing.T, c *conn, topic string, partitions []int32, timestamp int64) []kmsg.ListOffsetsResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 7, -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	for _, index := range partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = index, timestamp, -1
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	return call[*kmsg.ListOffsetsResponse](t, c, req).Topics[0].Partitions
}

func deleteTopics(t *testing.T, c *conn, names ...string) []kmsg.DeleteTopicsResponseTopic {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 6, 5000
	for _, name := range names {
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic = &name
		req.Topics = append(req.Topics, rt)
	}
	return call[*kmsg.DeleteTopicsResponse](t, c, req).Topics
}

// TestPartitionsAndOffsets names partitions and offsets that cannot be.
func TestPartitionsAndOffsets(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	produce(t, c, topic, 0, batchOf("a", "b", "c"))
	for _, index := range []int32{-1, 2, math.MinInt32, math.MaxInt32} {
		p := call[*kmsg.ProduceResponse](t, c, produceRequest(9, topic, index, batchOf("x")))
		expectCode(t, "produce", p.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		f := call[*kmsg.FetchResponse](t, c, fetchRequest(12, topic, index, 0))
		expectCode(t, "fetch", f.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		expectCode(t, "list offsets", listOffsets(t, c, topic, []int32{index}, -1)[0].ErrorCode, kerr.UnknownTopicOrPartition)
		expectCode(t, "delete records", deleteRecords(t, c, index, 1, 5000), kerr.UnknownTopicOrPartition)
		epochs := kmsg.NewPtrOffsetForLeaderEpochRequest()
		epochs.Version = 4
		et := kmsg.NewOffsetForLeaderEpochRequestTopic()
		et.Topic = topic
		ep := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		ep.Partition, ep.CurrentLeaderEpoch = index, -1
		et.Partitions = append(et.Partitions, ep)
		epochs.Topics = append(epochs.Topics, et)
		expectCode(t, "offset for leader epoch", call[*kmsg.OffsetForLeaderEpochResponse](t, c, epochs).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.Generation = 9, "g", -1
		mt := kmsg.NewOffsetCommitRequestTopic()
		mt.Topic = topic
		mp := kmsg.NewOffsetCommitRequestTopicPartition()
		mp.Partition, mp.Offset = index, 1
		mt.Partitions = append(mt.Partitions, mp)
		commit.Topics = append(commit.Topics, mt)
		findGroup(t, c, "g")
		expectCode(t, "commit", call[*kmsg.OffsetCommitResponse](t, c, commit).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	}
	for _, offset := range []int64{-1, -2, math.MinInt64, math.MaxInt64} {
		f := call[*kmsg.FetchResponse](t, c, fetchRequest(12, topic, 0, offset))
		expectCode(t, "fetch at a bad offset", f.Topics[0].Partitions[0].ErrorCode, kerr.OffsetOutOfRange)
		if offset != -1 { // the high watermark
			expectCode(t, "delete records at a bad offset", deleteRecords(t, c, 0, offset, 5000), kerr.OffsetOutOfRange)
		}
	}
	for _, timestamp := range []int64{-7, -100, math.MinInt64} {
		expectCode(t, "list offsets of a timestamp without a meaning", listOffsets(t, c, topic, []int32{0}, timestamp)[0].ErrorCode, kerr.UnsupportedVersion)
	}
	if got := listOffsets(t, c, topic, []int32{0}, math.MaxInt64)[0]; got.ErrorCode != 0 || got.Offset != -1 {
		t.Errorf("the last timestamp there is: %+v", got)
	}
	n.wellAfter(t, "bad partitions and offsets")
}

func deleteRecords(t *testing.T, c *conn, index int32, offset int64, timeout int32) int16 {
	t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, timeout
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Partition, rp.Offset = index, offset
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return call[*kmsg.DeleteRecordsResponse](t, c, req).Topics[0].Partitions[0].ErrorCode
}

// findGroup has the coordinator's topic made, and waits until it has loaded.
func findGroup(t *testing.T, c *conn, group string) {
	t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, group
	call[*kmsg.FindCoordinatorResponse](t, c, find)
	for {
		// Not a heartbeat: a coordinator that loads answers it with no error.
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Version, sync.Group, sync.Generation, sync.MemberID = 3, group, 1, "nobody"
		code := call[*kmsg.SyncGroupResponse](t, c, sync).ErrorCode
		if code != kerr.CoordinatorLoadInProgress.Code && code != kerr.NotCoordinator.Code && code != kerr.CoordinatorNotAvailable.Code {
			return
		}
	}
}

// TestLimitsOfFetch: sizes and times that cannot be.
func TestLimitsOfFetch(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	base := produce(t, c, topic, 1, batchOf("value"))
	for name, change := range map[string]func(*kmsg.FetchRequest){
		"negative max bytes":           func(r *kmsg.FetchRequest) { r.MaxBytes = -1 },
		"no bytes":                     func(r *kmsg.FetchRequest) { r.MaxBytes = 0 },
		"negative partition max bytes": func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = math.MinInt32 },
		"negative min bytes":           func(r *kmsg.FetchRequest) { r.MinBytes = math.MinInt32 },
		"greatest min bytes":           func(r *kmsg.FetchRequest) { r.MinBytes = math.MaxInt32 },
		"negative wait":                func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = math.MinInt32, 1<<20 },
		"isolation level":              func(r *kmsg.FetchRequest) { r.IsolationLevel = 77 },
		"leader epoch below":           func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = math.MinInt32 },
		"log start":                    func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LogStartOffset = math.MinInt64 },
	} {
		req := fetchRequest(12, topic, 1, base)
		change(req)
		p := call[*kmsg.FetchResponse](t, c, req).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			t.Errorf("%s: code=%d bytes=%d, want the first batch", name, p.ErrorCode, len(p.RecordBatches))
		}
	}
	session := fetchRequest(12, topic, 1, base)
	session.SessionID, session.SessionEpoch = 12345, 7
	expectCode(t, "unknown session", call[*kmsg.FetchResponse](t, c, session).ErrorCode, kerr.FetchSessionIDNotFound)
	session.SessionID, session.SessionEpoch = 0, 0
	opened := call[*kmsg.FetchResponse](t, c, session)
	if opened.SessionID == 0 {
		t.Fatal("no session")
	}
	session.SessionID, session.SessionEpoch = opened.SessionID, 99
	expectCode(t, "wrong epoch of a session", call[*kmsg.FetchResponse](t, c, session).ErrorCode, kerr.InvalidFetchSessionEpoch)

	twice := fetchRequest(12, topic, 1, base)
	for range 1000 {
		twice.Topics = append(twice.Topics, twice.Topics[0])
	}
	resp := call[*kmsg.FetchResponse](t, c, twice)
	total := 0
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			expectCode(t, "the same partition a thousand times", rp.ErrorCode, nil)
			total += len(rp.RecordBatches)
		}
	}
	if total == 0 || total > 1<<20 {
		t.Errorf("the same partition a thousand times: %d bytes", total)
	}
	n.wellAfter(t, "fetches without sense")
}

// TestDuplicates asks for the same thing twice in one request.
func TestDuplicates(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	for _, p := range listOffsets(t, c, topic, []int32{0, 0}, -1) {
		expectCode(t, "list offsets of a partition twice", p.ErrorCode, kerr.InvalidRequest)
	}
	n.createTopic(t, "twice", 1)
	for _, r := range deleteTopics(t, c, "twice", "twice") {
		expectCode(t, "delete a topic twice", r.ErrorCode, kerr.InvalidRequest)
	}
	if r := deleteTopics(t, c, "twice"); r[0].ErrorCode != 0 {
		t.Errorf("a topic named twice was deleted: code=%d", r[0].ErrorCode)
	}

	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 5000
	ct := kmsg.NewCreateTopicsRequestTopic()
	ct.Topic, ct.NumPartitions, ct.ReplicationFactor = "double", 1, 1
	create.Topics = append(create.Topics, ct, ct)
	for _, r := range call[*kmsg.CreateTopicsResponse](t, c, create).Topics {
		expectCode(t, "create a topic twice", r.ErrorCode, kerr.InvalidRequest)
	}
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version, grow.TimeoutMillis = 3, 5000
	gt := kmsg.NewCreatePartitionsRequestTopic()
	gt.Topic, gt.Count = topic, 3
	grow.Topics = append(grow.Topics, gt, gt)
	for _, r := range call[*kmsg.CreatePartitionsResponse](t, c, grow).Topics {
		expectCode(t, "grow a topic twice", r.ErrorCode, kerr.InvalidRequest)
	}
	alter := alterTopic("retention.ms", 0, "1000")
	alter.Resources = append(alter.Resources, alter.Resources[0])
	for _, r := range call[*kmsg.IncrementalAlterConfigsResponse](t, c, alter).Resources {
		expectCode(t, "alter a topic twice", r.ErrorCode, kerr.InvalidRequest)
	}
	alter = alterTopic("retention.ms", 0, "1000")
	alter.Resources[0].Configs = append(alter.Resources[0].Configs, alter.Resources[0].Configs[0])
	expectCode(t, "alter a setting twice", call[*kmsg.IncrementalAlterConfigsResponse](t, c, alter).Resources[0].ErrorCode, kerr.InvalidRequest)
	n.wellAfter(t, "duplicates")
}

func alterTopic(key string, op kmsg.IncrementalAlterConfigOp, value string) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	rc.Name, rc.Op, rc.Value = key, op, &value
	r.Configs = append(r.Configs, rc)
	req.Resources = append(req.Resources, r)
	return req
}

// TestAdmin asks for changes that cannot be made.
func TestAdmin(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	for name, v := range map[string]struct {
		change func(*kmsg.CreateTopicsRequestTopic)
		want   *kerr.Error
	}{
		"no partitions":       {func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = 0 }, kerr.InvalidPartitions},
		"negative partitions": {func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = -2 }, kerr.InvalidPartitions},
		"2^31-1 partitions":   {func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = math.MaxInt32 }, kerr.InvalidPartitions},
		"no replicas":         {func(r *kmsg.CreateTopicsRequestTopic) { r.ReplicationFactor = 0 }, kerr.InvalidReplicationFactor},
		"negative replicas":   {func(r *kmsg.CreateTopicsRequestTopic) { r.ReplicationFactor = -2 }, kerr.InvalidReplicationFactor},
		"too many replicas":   {func(r *kmsg.CreateTopicsRequestTopic) { r.ReplicationFactor = math.MaxInt16 }, kerr.InvalidReplicationFactor},
		"it exists":           {func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = topic }, kerr.TopicAlreadyExists},
		"an internal topic":   {func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = "__consumer_offsets" }, kerr.InvalidTopicException},
		"unknown setting":     {withConfig("no.such.key", "1"), kerr.InvalidConfig},
		"bad setting":         {withConfig("retention.ms", "often"), kerr.InvalidConfig},
		"assignment and partitions": {func(r *kmsg.CreateTopicsRequestTopic) {
			r.ReplicaAssignment = assignment(0, 1)
			r.ReplicationFactor = -1
		}, kerr.InvalidRequest},
		"assignment and replicas":            {func(r *kmsg.CreateTopicsRequestTopic) { r.ReplicaAssignment, r.NumPartitions = assignment(0, 1), -1 }, kerr.InvalidRequest},
		"assignment to no broker":            {assigned(0), kerr.InvalidReplicaAssignment},
		"assignment to an unknown broker":    {assigned(0, 99), kerr.InvalidReplicaAssignment},
		"assignment to a negative broker":    {assigned(0, -1), kerr.InvalidReplicaAssignment},
		"assignment to a broker twice":       {assigned(0, 1, 1), kerr.InvalidReplicaAssignment},
		"assignment of partition 1 alone":    {assigned(1, 1), kerr.InvalidReplicaAssignment},
		"assignment of a negative partition": {assigned(-1, 1), kerr.InvalidReplicaAssignment},
	} {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 7, 5000
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "new", 1, 1
		v.change(&rt)
		req.Topics = append(req.Topics, rt)
		expectCode(t, "create: "+name, call[*kmsg.CreateTopicsResponse](t, c, req).Topics[0].ErrorCode, v.want)
	}
	for name, v := range map[string]struct {
		change func(*kmsg.CreatePartitionsRequestTopic)
		want   *kerr.Error
	}{
		"fewer":         {func(r *kmsg.CreatePartitionsRequestTopic) { r.Count = 1 }, kerr.InvalidPartitions},
		"as many":       {func(r *kmsg.CreatePartitionsRequestTopic) { r.Count = 2 }, kerr.InvalidPartitions},
		"negative":      {func(r *kmsg.CreatePartitionsRequestTopic) { r.Count = -5 }, kerr.InvalidPartitions},
		"2^31-1":        {func(r *kmsg.CreatePartitionsRequestTopic) { r.Count = math.MaxInt32 }, kerr.InvalidPartitions},
		"unknown topic": {func(r *kmsg.CreatePartitionsRequestTopic) { r.Topic = "nowhere" }, kerr.UnknownTopicOrPartition},
		"no assignments": {func(r *kmsg.CreatePartitionsRequestTopic) {
			r.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
		}, kerr.InvalidReplicaAssignment},
		"two assignments": {func(r *kmsg.CreatePartitionsRequestTopic) {
			r.Assignment = make([]kmsg.CreatePartitionsRequestTopicAssignment, 2)
		}, kerr.InvalidReplicaAssignment},
		"empty assignment": {func(r *kmsg.CreatePartitionsRequestTopic) {
			r.Assignment = make([]kmsg.CreatePartitionsRequestTopicAssignment, 1)
		}, kerr.InvalidReplicaAssignment},
	} {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.Version, req.TimeoutMillis = 3, 5000
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = topic, 3
		v.change(&rt)
		req.Topics = append(req.Topics, rt)
		expectCode(t, "grow: "+name, call[*kmsg.CreatePartitionsResponse](t, c, req).Topics[0].ErrorCode, v.want)
	}
	for name, v := range map[string]struct {
		req  *kmsg.IncrementalAlterConfigsRequest
		want *kerr.Error
	}{
		"unknown operation":       {alterTopic("retention.ms", 77, "1"), kerr.InvalidRequest},
		"negative operation":      {alterTopic("retention.ms", -1, "1"), kerr.InvalidRequest},
		"unknown setting":         {alterTopic("no.such.key", 0, "1"), kerr.InvalidConfig},
		"bad value":               {alterTopic("retention.ms", 0, "soon"), kerr.InvalidConfig},
		"append to a number":      {alterTopic("retention.ms", 2, "1"), kerr.InvalidConfig},
		"a value of 32767 bytes":  {alterTopic("cleanup.policy", 0, strings.Repeat("x", math.MaxInt16)), kerr.InvalidConfig},
		"resource of no kind":     {ofResource(alterTopic("retention.ms", 0, "1"), 77, topic), kerr.InvalidRequest},
		"broker without a number": {ofResource(alterTopic("retention.ms", 0, "1"), kmsg.ConfigResourceTypeBroker, "one"), kerr.InvalidRequest},
		"topic that is not there": {ofResource(alterTopic("retention.ms", 0, "1"), kmsg.ConfigResourceTypeTopic, "nowhere"), kerr.UnknownTopicOrPartition},
		"null value":              {nullValue(alterTopic("retention.ms", 0, "")), kerr.InvalidRequest},
	} {
		expectCode(t, "alter: "+name, call[*kmsg.IncrementalAlterConfigsResponse](t, c, v.req).Resources[0].ErrorCode, v.want)
	}
	n.wellAfter(t, "changes that cannot be")
}

func nullValue(req *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsRequest {
	req.Resources[0].Configs[0].Value = nil
	return req
}

func ofResource(req *kmsg.IncrementalAlterConfigsRequest, kind kmsg.ConfigResourceType, name string) *kmsg.IncrementalAlterConfigsRequest {
	req.Resources[0].ResourceType, req.Resources[0].ResourceName = kind, name
	return req
}

func withConfig(key, value string) func(*kmsg.CreateTopicsRequestTopic) {
	return func(r *kmsg.CreateTopicsRequestTopic) {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = key, &value
		r.Configs = append(r.Configs, rc)
	}
}

func assignment(index int32, brokers ...int32) []kmsg.CreateTopicsRequestTopicReplicaAssignment {
	ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	ra.Partition, ra.Replicas = index, brokers
	return []kmsg.CreateTopicsRequestTopicReplicaAssignment{ra}
}

func assigned(index int32, brokers ...int32) func(*kmsg.CreateTopicsRequestTopic) {
	return func(r *kmsg.CreateTopicsRequestTopic) {
		r.NumPartitions, r.ReplicationFactor, r.ReplicaAssignment = -1, -1, assignment(index, brokers...)
	}
}
