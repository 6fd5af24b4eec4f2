package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// streamsGroupHeartbeat answers StreamsGroupHeartbeat. Internal topics that the group misses
// are made once it has been answered; its members find them with a later heartbeat.
func streamsGroupHeartbeat(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.StreamsGroupHeartbeatRequest)
	if !c.API.streamsGroups() {
		return streams.Refused(req.Version, kerr.UnsupportedVersion.Code, "")
	}
	if text := checkTopologyNames(req.Topology); text != "" {
		return streams.Refused(req.Version, kerr.StreamsInvalidTopology.Code, text)
	}
	caller := group.Caller{ClientID: c.ClientID, ClientHost: "/" + c.Host}
	c.API.Groups.StreamsHeartbeat(caller, req, func(resp *kmsg.StreamsGroupHeartbeatResponse, create []streams.InternalTopic) {
		if create = c.creatable(resp, create); len(create) > 0 {
			failures := c.API.streamsTopics.create(c.API, create)
			noteFailures(resp, failures)
		}
		c.Reply(resp)
	})
	return nil
}

// streamsGroups says whether the cluster has streams groups (streams.version). Before it has finalized
// any feature, which a new one does as soon as it runs, it has.
func (a *API) streamsGroups() bool {
	image := a.Metadata.Image()
	return image.FeatureLevel(controller.StreamsVersion) > 0 || image.FeatureLevel(controller.VersionFeature) == 0
}

// checkTopologyNames says what is wrong with the topics of a topology; "": nothing. The group
// would only find out when it has some of them made.
func checkTopologyNames(t *kmsg.StreamsGroupHeartbeatRequestTopology) string {
	if t == nil {
		return ""
	}
	var names []string
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		names = append(append(names, s.SourceTopics...), s.RepartitionSinkTopics...)
		for _, infos := range [][]kmsg.TopicInfo{s.RepartitionSourceTopics, s.StateChangelogTopics} {
			for j := range infos {
				names = append(names, infos[j].Topic)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	bad := func(is func(string) bool) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !is(name) })
	}
	if internal := bad(isInternal); len(internal) > 0 {
		return fmt.Sprintf("Use of Kafka internal topics %s in a Kafka Streams topology is prohibited.", strings.Join(internal, ","))
	}
	if invalid := bad(func(name string) bool { return !validTopicName(name) }); len(invalid) > 0 {
		return fmt.Sprintf("Topic names %s are not valid topic names.", strings.Join(invalid, ","))
	}
	return ""
}

// noteFailures adds to the status of missing topics why some of them could not be made.
func noteFailures(resp *kmsg.StreamsGroupHeartbeatResponse, failures []string) {
	if len(failures) == 0 {
		return
	}
	text := strings.Join(failures[:min(len(failures), maxNamedFailures)], ", ")
	if more := len(failures) - maxNamedFailures; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	for i := range resp.Status {
		if s := &resp.Status[i]; s.StatusCode == statusMissingInternalTopics {
			s.StatusDetail += "; Creation failed: " + text + "."
			return
		}
	}
}

const (
	statusMissingInternalTopics = 3
	maxNamedFailures            = 3
)
