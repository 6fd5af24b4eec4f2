package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
)

// noOperations is what Metadata and the Describe APIs say of the authorized
// operations when the client did not ask.
const noOperations = -1 << 31

// metadataTopics answers Metadata: brokers, and all topics or those asked for,
// which are created when client and broker both want that.
func metadataTopics(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.MetadataRequest)
	resp := kmsg.NewPtrMetadataResponse()
	image := c.API.Metadata.Image()
	listener := c.Listener
	resp.Brokers = metadataBrokers(image, listener)
	id := image.ClusterID()
	resp.ClusterID, resp.ControllerID = &id, c.API.Metadata.Controller()
	resp.AuthorizedOperations = noOperations

	// Version 0 asks for all topics by an empty list, later ones by null.
	if req.Topics == nil || c.Version == 0 && len(req.Topics) == 0 {
		for t := range image.Topics() {
			resp.Topics = append(resp.Topics, c.describeTopic(image, t))
		}
		return resp
	}
	create := c.Version < 4 || req.AllowAutoTopicCreation
	asked := make(map[string]bool, len(req.Topics))
	askedID := make(map[metadata.ID]bool)
	for _, rt := range req.Topics {
		if rt.TopicID != [16]byte{} {
			if askedID[rt.TopicID] {
				continue
			}
			askedID[rt.TopicID] = true
			resp.Topics = append(resp.Topics, c.describeTopicByID(image, rt.TopicID))
			continue
		}
		if rt.Topic == nil {
			t := kmsg.NewMetadataResponseTopic()
			t.ErrorCode = kerr.InvalidRequest.Code
			resp.Topics = append(resp.Topics, t)
			continue
		}
		if name := *rt.Topic; !asked[name] {
			asked[name] = true
			resp.Topics = append(resp.Topics, c.describeOrCreate(name, create))
		}
	}
	return resp
}

func metadataBrokers(image *metadata.Image, listener string) []kmsg.MetadataResponseBroker {
	var out []kmsg.MetadataResponseBroker
	for b := range image.Brokers() {
		host, port, ok := endpoint(b, listener)
		if b.Fenced || !ok {
			continue
		}
		rb := kmsg.NewMetadataResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.ID, host, port, rackOf(b)
		out = append(out, rb)
	}
	return out
}

// endpoint returns where clients of a listener reach a broker.
func endpoint(b *metadata.Broker, listener string) (host string, port int32, ok bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e.Host, e.Port, true
		}
	}
	return "", 0, false
}

func rackOf(b *metadata.Broker) *string {
	if b.Rack == "" {
		return nil
	}
	return &b.Rack
}

// describeOrCreate describes a topic by name. One that is missing is created if
// create and the configuration allow it, and then described.
func (c *Call) describeOrCreate(name string, create bool) kmsg.MetadataResponseTopic {
	a := c.API
	image := a.Metadata.Image()
	t, ok := image.Topic(name)
	if !ok {
		image = c.newerImage()
		t, ok = image.Topic(name)
	}
	if ok {
		return c.describeTopic(image, t)
	}
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.AuthorizedOperations = &name, noOperations
	if !create || !a.settings().AutoCreateTopics && !isInternal(name) {
		rt.ErrorCode = kerr.UnknownTopicOrPartition.Code
		if !validTopicName(name) {
			rt.ErrorCode = kerr.InvalidTopicException.Code
		}
		return rt
	}
	if !c.mayCreateTopic(name) {
		rt.ErrorCode = deniedTopic
		return rt
	}
	if err := a.autoCreate(c.Context, name, c.mutations(neverStrict)); err != nil {
		rt.ErrorCode = errorCode(err)
		return rt
	}
	image = a.Metadata.Image()
	if t, ok := image.Topic(name); ok {
		return c.describeTopic(image, t)
	}
	rt.ErrorCode = kerr.LeaderNotAvailable.Code // deleted meanwhile: the client asks again
	return rt
}

// newerImage is for a client that asks for what this broker does not know: it may have been
// created a moment ago, by way of another broker. Without an answer of the leader the image
// is what it was. One request asks once.
func (c *Call) newerImage() *metadata.Image {
	if c.caughtUp {
		return c.API.Metadata.Image()
	}
	c.caughtUp = true
	if err := c.API.Metadata.CatchUp(c.Context); err != nil {
		c.API.logger.Debug("the metadata may be older than the leader's", "error", err)
	}
	return c.API.Metadata.Image()
}

func (c *Call) describeTopicByID(image *metadata.Image, id metadata.ID) kmsg.MetadataResponseTopic {
	t, ok := image.TopicByID(id)
	if !ok {
		image = c.newerImage()
		t, ok = image.TopicByID(id)
	}
	if ok {
		return c.describeTopic(image, t)
	}
	rt := kmsg.NewMetadataResponseTopic()
	rt.TopicID, rt.ErrorCode, rt.AuthorizedOperations = id, kerr.UnknownTopicID.Code, noOperations
	return rt
}

func (c *Call) describeTopic(image *metadata.Image, t *metadata.Topic) kmsg.MetadataResponseTopic {
	rt := kmsg.NewMetadataResponseTopic()
	name := t.Name
	rt.Topic, rt.TopicID, rt.IsInternal, rt.AuthorizedOperations = &name, t.ID, isInternal(name), noOperations
	for p := range image.Partitions(t) {
		rp := kmsg.NewMetadataResponseTopicPartition()
		rp.Partition, rp.LeaderEpoch = p.Index, p.LeaderEpoch
		rp.Replicas, rp.ISR, rp.OfflineReplicas = p.Replicas, p.ISR, offline(image, p, c.Listener)
		if c.Version == 0 { // its clients expect every replica among the brokers
			rp.Replicas, rp.ISR = reachable(image, p.Replicas, c.Listener), reachable(image, p.ISR, c.Listener)
		}
		err := leaderError(image, p, c.Listener, c.Version)
		switch rp.Leader = p.Leader; {
		case err != nil:
			rp.Leader, rp.ErrorCode = metadata.NoLeader, err.Code
		case len(rp.Replicas) < len(p.Replicas) || len(rp.ISR) < len(p.ISR):
			rp.ErrorCode = kerr.ReplicaNotAvailable.Code
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// leaderError says why clients of a listener can not reach the leader of a
// partition: there is none, or its broker does not have the listener. A leader that
// was fenced is named until another one is elected, as Kafka does.
func leaderError(image *metadata.Image, p *metadata.Partition, listener string, version int16) *kerr.Error {
	b, ok := image.Broker(p.Leader)
	if !ok {
		return kerr.LeaderNotAvailable
	}
	if _, _, ok := endpoint(b, listener); ok {
		return nil
	}
	if version < 6 { // which knows no other reason
		return kerr.LeaderNotAvailable
	}
	return kerr.ListenerNotFound
}

// offline returns the replicas on brokers that are fenced or gone, or that do not
// have the listener.
func offline(image *metadata.Image, p *metadata.Partition, listener string) []int32 {
	out := []int32{}
	for _, id := range p.Replicas {
		if !isReachable(image, id, listener) {
			out = append(out, id)
		}
	}
	return out
}

// reachable returns those of the brokers that are in service and have the listener.
func reachable(image *metadata.Image, ids []int32, listener string) []int32 {
	out := []int32{}
	for _, id := range ids {
		if isReachable(image, id, listener) {
			out = append(out, id)
		}
	}
	return out
}

func isReachable(image *metadata.Image, id int32, listener string) bool {
	b, ok := image.Broker(id)
	if !ok || b.Fenced {
		return false
	}
	_, _, ok = endpoint(b, listener)
	return ok
}
