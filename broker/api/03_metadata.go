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
			resp.Topics = append(resp.Topics, describeTopic(image, t))
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
			resp.Topics = append(resp.Topics, describeTopicByID(image, rt.TopicID))
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
	if t, ok := image.Topic(name); ok {
		return describeTopic(image, t)
	}
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.AuthorizedOperations = &name, noOperations
	if !create || !a.Config.AutoCreateTopics && !internalTopic(name) {
		rt.ErrorCode = kerr.UnknownTopicOrPartition.Code
		if !validTopicName(name) {
			rt.ErrorCode = kerr.InvalidTopicException.Code
		}
		return rt
	}
	if err := a.autoCreate(c.Context, name); err != nil {
		rt.ErrorCode = errorCode(err)
		return rt
	}
	image = a.Metadata.Image()
	if t, ok := image.Topic(name); ok {
		return describeTopic(image, t)
	}
	rt.ErrorCode = kerr.LeaderNotAvailable.Code // deleted meanwhile: the client asks again
	return rt
}

func describeTopicByID(image *metadata.Image, id metadata.ID) kmsg.MetadataResponseTopic {
	if t, ok := image.TopicByID(id); ok {
		return describeTopic(image, t)
	}
	rt := kmsg.NewMetadataResponseTopic()
	rt.TopicID, rt.ErrorCode, rt.AuthorizedOperations = id, kerr.UnknownTopicID.Code, noOperations
	return rt
}

func describeTopic(image *metadata.Image, t *metadata.Topic) kmsg.MetadataResponseTopic {
	rt := kmsg.NewMetadataResponseTopic()
	name := t.Name
	rt.Topic, rt.TopicID, rt.IsInternal, rt.AuthorizedOperations = &name, t.ID, internalTopic(name), noOperations
	for p := range image.Partitions(t) {
		rp := kmsg.NewMetadataResponseTopicPartition()
		rp.Partition, rp.Leader, rp.LeaderEpoch = p.Index, p.Leader, p.LeaderEpoch
		rp.Replicas, rp.ISR = p.Replicas, p.ISR
		rp.OfflineReplicas = offline(image, p)
		if p.Leader == metadata.NoLeader {
			rp.ErrorCode = kerr.LeaderNotAvailable.Code
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// offline returns the replicas on brokers that are fenced or gone.
func offline(image *metadata.Image, p *metadata.Partition) []int32 {
	out := []int32{}
	for _, id := range p.Replicas {
		if b, ok := image.Broker(id); !ok || b.Fenced {
			out = append(out, id)
		}
	}
	return out
}
