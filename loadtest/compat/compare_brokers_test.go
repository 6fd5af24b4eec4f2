package compat

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var brokersAllowed = []allowance{
	allow(`(add a voter to|remove a voter of) cluster given false .*: kafka=UNSUPPORTED_VERSION`, "Apache Kafka's voters are fixed here, Tideline's are not"),
	allow(`feature "group.version" to \d by \d UpdateFeatures`, "features that only say how Apache Kafka came to have something are not there"),
	allow(`quorum of "__cluster_metadata"-0 DescribeQuorum v2: \.Nodes\[0\]\.Listeners`, "the addresses of the quorum are no addresses of clients"),
	mayDiffer(`quorum of "__cluster_metadata"-0 DescribeQuorum v\d: .*\.(LogEndOffset|HighWatermark|LeaderEpoch): `, "the log is each side's own"),
}

// compareBrokers asks about brokers, the quorum and features with every version of every call.
func compareBrokers(s *side) {
	s.each(18, func(v int16) { compareApiVersions(s, v) })
	s.each(60, func(v int16) { compareDescribeCluster(s, v) })
	s.each(55, func(v int16) { compareQuorum(s, v) })
	s.each(57, func(v int16) { compareFeatures(s, v) })
	s.each(64, func(v int16) {
		for _, id := range []int32{77, -1} {
			req := kmsg.NewPtrUnregisterBrokerRequest()
			req.BrokerID = id
			s.call(fmt.Sprintf("unregister %d", id), req, v)
		}
	})
	s.each(80, func(v int16) {
		for _, cluster := range []*string{nil, kmsg.StringPtr("another")} {
			req := kmsg.NewPtrAddRaftVoterRequest()
			req.ClusterID, req.TimeoutMillis, req.VoterID, req.VoterDirectoryID = cluster, 1000, 77, [16]byte{1}
			l := kmsg.NewAddRaftVoterRequestListener()
			l.Name, l.Host, l.Port = "CONTROLLER", "localhost", 9
			req.Listeners = append(req.Listeners, l)
			s.call(fmt.Sprintf("add a voter to cluster given %v", cluster != nil), req, v)
		}
	})
	s.each(81, func(v int16) {
		for _, cluster := range []*string{nil, kmsg.StringPtr("another")} {
			req := kmsg.NewPtrRemoveRaftVoterRequest()
			req.ClusterID, req.VoterID, req.VoterDirectoryID = cluster, 77, [16]byte{1}
			s.call(fmt.Sprintf("remove a voter of cluster given %v", cluster != nil), req, v)
		}
	})
}

func compareApiVersions(s *side, v int16) {
	for _, one := range [][2]string{{"compare", "1"}, {"", ""}, {"a b", "1"}, {"-a", "1"}, {"a", "1_0"}} {
		if v < 3 && one[0] != "compare" {
			continue
		}
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = one[0], one[1]
		resp := s.ask("versions", req, v).(*kmsg.ApiVersionsResponse)
		// Keys are compared by compareVersions, features by the finalized level that both have.
		resp.ApiKeys, resp.SupportedFeatures, resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch = nil, nil, nil, 0
		s.note(fmt.Sprintf("versions for %q %q", one[0], one[1]), resp)
	}
}

func compareDescribeCluster(s *side, v int16) {
	for _, kind := range []int8{1, 2, 3} {
		for _, more := range []bool{false, true} {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.EndpointType, req.IncludeClusterAuthorizedOperations, req.IncludeFencedBrokers = kind, more, more
			if v == 0 && kind != 1 || v < 2 && more && kind == 3 {
				continue
			}
			s.call(fmt.Sprintf("cluster endpoints %d more %v", kind, more), req, v)
		}
	}
}

func compareQuorum(s *side, v int16) {
	for _, topic := range []string{"__cluster_metadata", "looked-at", ""} {
		for _, partition := range []int32{0, 1} {
			req := kmsg.NewPtrDescribeQuorumRequest()
			t := kmsg.NewDescribeQuorumRequestTopic()
			t.Topic = topic
			p := kmsg.NewDescribeQuorumRequestTopicPartition()
			p.Partition = partition
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			s.call(fmt.Sprintf("quorum of %q-%d", topic, partition), req, v)
		}
	}
	s.call("quorum of nothing", kmsg.NewPtrDescribeQuorumRequest(), v)
}

func compareFeatures(s *side, v int16) {
	for _, one := range []struct {
		feature string
		level   int16
		upgrade int8
	}{
		{"unknown", 1, 1}, {"", 1, 1}, {"group.version", 1, 1}, {"group.version", 99, 1}, {"group.version", -1, 1},
		{"group.version", 0, 1}, {"group.version", 0, 2}, {"group.version", 1, 4},
	} {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.TimeoutMillis, req.ValidateOnly = int32(callTimeout.Milliseconds()), v > 0
		f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		f.Feature, f.MaxVersionLevel, f.UpgradeType = one.feature, one.level, one.upgrade
		f.AllowDowngrade = one.upgrade > 1
		if v == 0 && one.upgrade == 2 {
			continue // it would be done
		}
		req.FeatureUpdates = append(req.FeatureUpdates, f)
		s.call(fmt.Sprintf("feature %q to %d by %d", one.feature, one.level, one.upgrade), req, v)
	}
	s.call("no feature", kmsg.NewPtrUpdateFeaturesRequest(), v)
}
