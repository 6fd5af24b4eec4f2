package txn

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// Versions of AddPartitionsToTxn and AddOffsetsToTxn that changed what the coordinator does.
const (
	addFencedSince  = 2
	addBatchedSince = 4 // many transactions, for brokers
)

// Handle answers a request about transactions, exactly once, with the response type that
// belongs to it, version set; maybe before it returns, and never blocking on I/O. It returns
// false, and does not answer, for requests that are not a transaction coordinator's.
//
// The request must have been decoded by ReadFrom; its memory may be reused once it
// is answered. Authorization, and whether the partitions of AddPartitionsToTxn exist, are the
// caller's.
func (c *Coordinator) Handle(req kmsg.Request, reply func(kmsg.Response)) bool {
	switch r := req.(type) {
	case *kmsg.InitProducerIDRequest:
		if r.TransactionalID == nil {
			return false
		}
		c.initProducerID(r, reply)
	case *kmsg.AddPartitionsToTxnRequest:
		c.addPartitions(r, reply)
	case *kmsg.AddOffsetsToTxnRequest:
		c.addOffsets(r, reply)
	case *kmsg.EndTxnRequest:
		c.endTxn(r, reply)
	case *kmsg.DescribeTransactionsRequest:
		c.describe(r, reply)
	case *kmsg.ListTransactionsRequest:
		c.list(r, reply)
	default:
		return false
	}
	c.metrics.requests.WithLabelValues(kmsg.NameForKey(req.Key())).Inc()
	return true
}

// decided calls attempt with no producer id, and if the decision needs one, once more with
// one. Each attempt is answered to its own call; the answer goes to reply.
func (c *Coordinator) decided(attempt func(freshID int64, call *coordinator.Call), refuse func(error) any, reply func(kmsg.Response)) {
	last := coordinator.NewCall(func(body any) {
		if _, more := body.(needsID); more { // the state changed in between so that it takes yet another
			body = refuse(coordinator.ErrBusy)
		}
		reply(body.(kmsg.Response))
	})
	attempt(noProducerID, coordinator.NewCall(func(body any) {
		if _, needs := body.(needsID); !needs {
			reply(body.(kmsg.Response))
			return
		}
		c.takeID(func(id int64, err error) {
			if err != nil {
				c.log.Warn("no producer id", "error", err)
				reply(refuse(coordinator.ErrBusy).(kmsg.Response))
				return
			}
			attempt(id, last)
		})
	}))
}

func (c *Coordinator) initProducerID(req *kmsg.InitProducerIDRequest, reply func(kmsg.Response)) {
	if code := checkInit(&c.cfg, req); code != 0 {
		reply(initError(req.Version, code))
		return
	}
	refuse := func(err error) any { return initError(req.Version, errorCode(err)) }
	c.decided(func(freshID int64, call *coordinator.Call) {
		c.submit(*req.TransactionalID, coordinator.Exclusive, &initProducerID{req: req, freshID: freshID, call: call}, call, refuse)
	}, refuse, reply)
}

func (c *Coordinator) endTxn(req *kmsg.EndTxnRequest, reply func(kmsg.Response)) {
	if !c.validID(req.TransactionalID) {
		reply(endError(req.Version, kerr.InvalidRequest.Code))
		return
	}
	refuse := func(err error) any { return endError(req.Version, errorCode(err)) }
	c.decided(func(freshID int64, call *coordinator.Call) {
		c.submit(req.TransactionalID, coordinator.Exclusive, &endTxn{req: req, freshID: freshID, call: call}, call, refuse)
	}, refuse, reply)
}

func (c *Coordinator) validID(id string) bool { return id != "" && len(id) <= c.cfg.MaxIDBytes }

func refuseCode(err error) any { return errorCode(err) }

// add takes partitions into a transaction; done gets the error code.
func (c *Coordinator) add(id string, p producer, tps []topicPartition, version int16, done func(code int16)) {
	if !c.validID(id) {
		done(kerr.InvalidRequest.Code)
		return
	}
	call := coordinator.NewCall(func(body any) { done(body.(int16)) })
	c.submit(id, coordinator.Exclusive, &addPartitions{id: id, producer: p, partitions: tps, version: version, call: call}, call, refuseCode)
}

func (c *Coordinator) addOffsets(req *kmsg.AddOffsetsToTxnRequest, reply func(kmsg.Response)) {
	answer := func(code int16) {
		resp := kmsg.NewPtrAddOffsetsToTxnResponse()
		resp.Version, resp.ErrorCode = req.Version, fencedCode(code, req.Version, addFencedSince)
		reply(resp)
	}
	if req.Group == "" {
		answer(kerr.InvalidGroupID.Code)
		return
	}
	topic, partition := c.opts.GroupPartition(req.Group)
	c.add(req.TransactionalID, producer{req.ProducerID, req.ProducerEpoch}, []topicPartition{{topic, partition}}, 0, answer)
}

func (c *Coordinator) addPartitions(req *kmsg.AddPartitionsToTxnRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	resp.Version = req.Version
	if req.Version < addBatchedSince {
		var tps []topicPartition
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				tps = append(tps, topicPartition{t.Topic, p})
			}
		}
		c.add(req.TransactionalID, producer{req.ProducerID, req.ProducerEpoch}, tps, 0, func(code int16) {
			code = fencedCode(code, req.Version, addFencedSince)
			for _, t := range req.Topics {
				rt := kmsg.NewAddPartitionsToTxnResponseTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
					rp.Partition, rp.ErrorCode = p, code
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			reply(resp)
		})
		return
	}
	g := coordinator.NewGather(len(req.Transactions), func(parts []kmsg.AddPartitionsToTxnResponseTransaction) {
		resp.Transactions = parts
		reply(resp)
	})
	for i := range req.Transactions {
		c.addOfOne(&req.Transactions[i], func(part kmsg.AddPartitionsToTxnResponseTransaction) { g.Put(i, part) })
	}
}

// addOfOne adds or verifies the partitions of one transaction of a broker's request.
func (c *Coordinator) addOfOne(t *kmsg.AddPartitionsToTxnRequestTransaction, done func(kmsg.AddPartitionsToTxnResponseTransaction)) {
	var tps []topicPartition
	for _, topic := range t.Topics {
		for _, p := range topic.Partitions {
			tps = append(tps, topicPartition{topic.Topic, p})
		}
	}
	each := func(codes []int16) {
		out := kmsg.NewAddPartitionsToTxnResponseTransaction()
		out.TransactionalID = t.TransactionalID
		for _, topic := range t.Topics {
			rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
				rp.Partition, rp.ErrorCode = p, codes[0]
				codes = codes[1:]
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
		done(out)
	}
	who := producer{t.ProducerID, t.ProducerEpoch}
	switch {
	case !c.validID(t.TransactionalID):
		each(codes(len(tps), kerr.InvalidRequest.Code))
	case t.VerifyOnly:
		v := &verifyPartitions{id: t.TransactionalID, producer: who, partitions: tps}
		v.call = coordinator.NewCall(func(body any) { each(body.([]int16)) })
		c.submit(v.id, coordinator.Read, v, v.call, func(err error) any { return codes(len(tps), errorCode(err)) })
	default:
		c.add(t.TransactionalID, who, tps, epochBump, func(code int16) { each(codes(len(tps), code)) })
	}
}

func (c *Coordinator) describe(req *kmsg.DescribeTransactionsRequest, reply func(kmsg.Response)) {
	g := coordinator.NewGather(len(req.TransactionalIDs), func(parts []*kmsg.DescribeTransactionsResponseTransactionState) {
		resp := kmsg.NewPtrDescribeTransactionsResponse()
		resp.Version, resp.TransactionStates = req.Version, coordinator.Values(parts)
		reply(resp)
	})
	for i, id := range req.TransactionalIDs {
		if !c.validID(id) {
			g.Put(i, describeError(id, kerr.InvalidRequest.Code))
			continue
		}
		d := &describeTxn{id: id, call: g.Call(i)}
		c.submit(id, coordinator.Read, d, d.call, func(err error) any { return describeError(id, errorCode(err)) })
	}
}

func (c *Coordinator) list(req *kmsg.ListTransactionsRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrListTransactionsResponse()
	resp.Version = req.Version
	resp.TransactionStates = []kmsg.ListTransactionsResponseTransactionState{}
	f, unknown, code := newFilter(req)
	resp.UnknownStateFilters, resp.ErrorCode = unknown, code
	if code != 0 {
		reply(resp)
		return
	}
	partitions := c.Runtime.Partitions()
	g := coordinator.NewGather(len(partitions), func(parts []listed) {
		for _, p := range parts {
			if p.code != 0 {
				// Half a list would be taken for a whole one.
				resp.ErrorCode, resp.TransactionStates = p.code, []kmsg.ListTransactionsResponseTransactionState{}
				break
			}
			resp.TransactionStates = append(resp.TransactionStates, p.transactions...)
		}
		reply(resp)
	})
	for i, p := range partitions {
		l := &listTxns{filter: f, call: g.Call(i)}
		c.Runtime.Submit(p, coordinator.Event{Access: coordinator.Read, Body: l, Call: l.call, Refuse: refuseList})
	}
}
