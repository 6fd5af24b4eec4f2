package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
)

// The guards of requests about producers and transactions.

func guardInitProducerID(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil {
		if c.allowed(acl.Write, acl.TransactionalID, *req.TransactionalID) {
			return nil
		}
		resp.ErrorCode = deniedTransactional
		return resp
	}
	// Whoever may write to any topic may do so with a producer id (KIP-679).
	if c.sees(acl.IdempotentWrite, acl.Cluster, acl.ClusterName) || c.access().client.AllowedAny(acl.Write, acl.Topic) {
		return nil
	}
	c.API.noteAccess(c, acl.IdempotentWrite, acl.Cluster, acl.ClusterName, false)
	resp.ErrorCode = deniedCluster
	return resp
}

// guardAddPartitionsToTxn lets a client add partitions of topics that it may write to, all or
// none. The versions that are of many transactions are for brokers.
func guardAddPartitionsToTxn(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AddPartitionsToTxnRequest)
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	if c.Version >= addBatched {
		if c.allowedCluster(acl.ClusterAction) {
			return nil
		}
		resp.ErrorCode = deniedCluster
		return resp
	}
	codeOf := func(*kmsg.AddPartitionsToTxnRequestTopic, int32) int16 { return deniedTransactional }
	if c.allowed(acl.Write, acl.TransactionalID, req.TransactionalID) {
		_, denied := split(req.Topics, func(t *kmsg.AddPartitionsToTxnRequestTopic) bool { return c.allowed(acl.Write, acl.Topic, t.Topic) })
		if len(denied) == 0 {
			return nil
		}
		image := c.API.Metadata.Image()
		codeOf = func(t *kmsg.AddPartitionsToTxnRequestTopic, index int32) int16 {
			if slices.ContainsFunc(denied, func(d kmsg.AddPartitionsToTxnRequestTopic) bool { return d.Topic == t.Topic }) {
				return deniedTopic
			}
			if topic, ok := image.Topic(t.Topic); !ok || index < 0 || index >= topic.Partitions {
				return kerr.UnknownTopicOrPartition.Code
			}
			return kerr.OperationNotAttempted.Code
		}
	}
	resp.Topics = mapped(req.Topics, func(t *kmsg.AddPartitionsToTxnRequestTopic) kmsg.AddPartitionsToTxnResponseTopic {
		rt := kmsg.NewAddPartitionsToTxnResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.AddPartitionsToTxnResponseTopicPartition {
			rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			rp.Partition, rp.ErrorCode = *index, codeOf(t, *index)
			return rp
		})
		return rt
	})
	return resp
}

func guardAddOffsetsToTxn(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AddOffsetsToTxnRequest)
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	switch {
	case !c.allowed(acl.Write, acl.TransactionalID, req.TransactionalID):
		resp.ErrorCode = deniedTransactional
	case !c.allowed(acl.Read, acl.Group, req.Group):
		resp.ErrorCode = deniedGroup
	default:
		return nil
	}
	return resp
}

func guardEndTxn(c *Call) kmsg.Response {
	if c.allowed(acl.Write, acl.TransactionalID, c.Request.(*kmsg.EndTxnRequest).TransactionalID) {
		return nil
	}
	resp := kmsg.NewPtrEndTxnResponse()
	resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = deniedTransactional, -1, -1
	return resp
}

// guardWriteTxnMarkers lets brokers, and tools against hanging transactions (KIP-664).
func guardWriteTxnMarkers(c *Call) kmsg.Response {
	if c.sees(acl.Alter, acl.Cluster, acl.ClusterName) || c.allowedCluster(acl.ClusterAction) {
		return nil
	}
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	resp.Markers = mapped(c.Request.(*kmsg.WriteTxnMarkersRequest).Markers, func(m *kmsg.WriteTxnMarkersRequestMarker) kmsg.WriteTxnMarkersResponseMarker {
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		rm.Topics = mapped(m.Topics, func(t *kmsg.WriteTxnMarkersRequestMarkerTopic) kmsg.WriteTxnMarkersResponseMarkerTopic {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.WriteTxnMarkersResponseMarkerTopicPartition {
				rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				rp.Partition, rp.ErrorCode = *index, deniedCluster
				return rp
			})
			return rt
		})
		return rm
	})
	return resp
}

func guardTxnOffsetCommit(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.TxnOffsetCommitRequest)
	switch {
	case !c.allowed(acl.Write, acl.TransactionalID, req.TransactionalID):
		return refuseTxnOffsets(req, kerr.TransactionalIDAuthorizationFailed)
	case !c.allowed(acl.Read, acl.Group, req.Group):
		return refuseTxnOffsets(req, kerr.GroupAuthorizationFailed)
	}
	var denied []kmsg.TxnOffsetCommitRequestTopic
	req.Topics, denied = split(req.Topics, func(t *kmsg.TxnOffsetCommitRequestTopic) bool { return c.allowed(acl.Read, acl.Topic, t.Topic) })
	if len(denied) == 0 {
		return nil
	}
	refused := *req
	refused.Topics = denied
	resp := refuseTxnOffsets(&refused, kerr.TopicAuthorizationFailed).(*kmsg.TxnOffsetCommitResponse)
	if len(req.Topics) == 0 {
		return resp
	}
	amendWith(c, resp.Topics, func(r *kmsg.TxnOffsetCommitResponse, t *kmsg.TxnOffsetCommitResponseTopic) {
		r.Topics = append(r.Topics, *t)
	})
	return nil
}

// guardDescribeTransactions hides the topics that a transaction has, but the client may not
// describe.
func guardDescribeTransactions(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeTransactionsRequest)
	var denied []string
	req.TransactionalIDs, denied = split(req.TransactionalIDs, func(id *string) bool { return c.allowed(acl.Describe, acl.TransactionalID, *id) })
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.DescribeTransactionsResponse)
		for i := range r.TransactionStates {
			s := &r.TransactionStates[i]
			s.Topics = slices.DeleteFunc(s.Topics, func(t kmsg.DescribeTransactionsResponseTransactionStateTopic) bool {
				return !c.sees(acl.Describe, acl.Topic, t.Topic)
			})
		}
	})
	amendWith(c, denied, func(resp *kmsg.DescribeTransactionsResponse, id *string) {
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID, s.ErrorCode = *id, deniedTransactional
		resp.TransactionStates = append(resp.TransactionStates, s)
	})
	return nil
}

func guardListTransactions(c *Call) kmsg.Response {
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.ListTransactionsResponse)
		r.TransactionStates = slices.DeleteFunc(r.TransactionStates, func(s kmsg.ListTransactionsResponseTransactionState) bool {
			return !c.sees(acl.Describe, acl.TransactionalID, s.TransactionalID)
		})
	})
	return nil
}
