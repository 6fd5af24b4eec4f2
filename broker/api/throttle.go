package api

import (
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/broker/server"
)

// Quotas. Whoever took too much gets his answer at once, with how long he has to wait, and his connection is not read for as long (KIP-219). Where more
// than one quota was exceeded the longest time counts, once.

// client is what quotas know a request's sender by.
func client(r *server.Request) (user, clientID string) {
	if r.ClientID != nil {
		clientID = *r.ClientID
	}
	return principalOf(r.Conn.Principal()).Name, clientID
}

// exempt requests cost no time that counts: those that brokers send, and those by which a client proves who it is, before which it
// has no share.
func exempt(key int16) bool {
	const saslHandshake, saslAuthenticate = 17, 36
	switch key {
	case keyWriteTxnMarkers, saslHandshake, saslAuthenticate,
		keyInitializeShareGroupState, keyReadShareGroupState, keyWriteShareGroupState, keyDeleteShareGroupState, keyReadShareGroupStateSummary:
		return true
	}
	return false
}

// mute has a client wait, and returns what it is told.
func (a *API) mute(r *server.Request, k quota.Kind, d time.Duration) (millis int32) {
	if d <= 0 {
		return 0
	}
	a.Quotas.Throttled(k, d)
	r.Conn.Mute(d)
	return int32(d.Milliseconds())
}

// longer returns the longer of two waits, with its reason; the second where they are equal.
func longer(k1 quota.Kind, d1 time.Duration, k2 quota.Kind, d2 time.Duration) (quota.Kind, time.Duration) {
	if d1 > d2 {
		return k1, d1
	}
	return k2, d2
}

// requestTime counts what a request cost.
func (a *API) requestTime(r *server.Request, m *meter, now time.Time) time.Duration {
	if m.now == nil || exempt(r.Key) || !r.Conn.Authenticated() {
		return 0
	}
	user, id := client(r)
	return a.Quotas.Record(quota.Request, user, id, quota.Percent(m.spent(now)), now)
}

// throttle counts what a call cost, and has its client wait if that was too much. What another broker hands on was counted where it came in.
func (c *Call) throttle(resp kmsg.Response) {
	a := c.API
	if a.Quotas == nil || c.raw == nil {
		return
	}
	now := a.now()
	k, d := longer(quota.Mutation, c.share.Throttle(now), quota.Request, a.requestTime(c.raw, &c.meter, now))
	if fetched, ok := resp.(*kmsg.ShareFetchResponse); ok && a.Quotas.Enabled(quota.Consumer) {
		// The records are locked for this member, so they are sent however many they are.
		user, id := client(c.raw)
		k, d = longer(quota.Consumer, a.Quotas.Record(quota.Consumer, user, id, float64(shareFetchedBytes(fetched)), now), k, d)
	}
	if millis := a.mute(c.raw, k, d); millis > 0 {
		if t, ok := resp.(kmsg.SetThrottleResponse); ok {
			t.SetThrottle(millis)
		}
	}
}

// throttle counts what a produce request brought and cost. The answer to a request without acknowledgement has no room for a wait, so its time does
// not count, as in Kafka; its bytes do.
func (op *produceOp) throttle() (millis int32) {
	a := op.api
	if a.Quotas == nil || !a.Quotas.Enabled(quota.Producer) && op.meter.now == nil {
		return 0
	}
	now := a.now()
	user, id := client(op.r)
	k, d := quota.Producer, a.Quotas.Record(quota.Producer, user, id, float64(op.r.Size), now)
	if op.req.Acks != acksNone {
		k, d = longer(k, d, quota.Request, a.requestTime(op.r, &op.meter, now))
	}
	return a.mute(op.r, k, d)
}

// fetchAtOnce is the most that a client's quota gives it in one go.
func (a *API) fetchAtOnce(r *server.Request) int32 {
	if !a.Quotas.Enabled(quota.Consumer) {
		return math.MaxInt32
	}
	user, id := client(r)
	if n, ok := a.Quotas.MaxAtOnce(quota.Consumer, user, id); ok && n < math.MaxInt32 {
		return int32(n)
	}
	return math.MaxInt32
}

// throttle counts what a fetch brought and cost. It reports false when the client gets nothing this time: it is to ask again when it has waited.
func (op *fetchOp) throttle() (send bool) {
	a := op.api
	op.resp.ThrottleMillis = 0
	if a.Quotas == nil || !a.Quotas.Enabled(quota.Consumer) && op.meter.now == nil {
		return true
	}
	now := a.now()
	user, id := client(op.r)
	d, send := a.Quotas.Admit(quota.Consumer, user, id, float64(op.fetchedBytes()), now)
	k, d := longer(quota.Consumer, d, quota.Request, a.requestTime(op.r, &op.meter, now))
	op.resp.ThrottleMillis = a.mute(op.r, k, d)
	return send
}

// About what a fetch response has around the records.
const (
	fetchResponseBytes  = 24
	fetchPartitionBytes = 48
)

// fetchedBytes is about the size of the response, which is not encoded before it is known to be sent.
func (op *fetchOp) fetchedBytes() (n int) {
	n = fetchResponseBytes
	for i := range op.parts {
		if p := &op.parts[i]; p.bytes > 0 || p.resp.ErrorCode != 0 {
			n += p.bytes + fetchPartitionBytes
		}
	}
	return n
}

func shareFetchedBytes(resp *kmsg.ShareFetchResponse) (n int) {
	n = fetchResponseBytes
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			n += len(resp.Topics[i].Partitions[j].Records) + fetchPartitionBytes
		}
	}
	return n
}

// withhold empties the response. A session that the request opened does not come to be, since its client has not seen the partitions in it; one
// that it goes on with has moved on by one epoch and nothing else.
func (op *fetchOp) withhold() {
	op.release()
	if op.session != nil && op.req.SessionEpoch == sessionEpochInitial {
		op.api.fetchSessions.close(op.session.id)
		op.session = nil
	}
	clear(op.parts)
	op.parts = op.parts[:0]
}

// Versions from which on clients know that partitions may be refused for want of quota (KIP-599).
const (
	strictCreateTopics     = 6
	strictDeleteTopics     = 5
	strictCreatePartitions = 3
	neverStrict            = math.MaxInt16
)

// errMutations refuses partitions.
var errMutations = fmt.Errorf("%w: controller_mutation_rate is exceeded, try again after the throttle time", kerr.ThrottlingQuotaExceeded)

// mutations returns the share of a call that creates or deletes partitions, the same one each time.
func (c *Call) mutations(strictSince int16) *quota.Mutations {
	if c.share == nil && c.raw != nil {
		user, id := client(c.raw)
		c.share = c.API.Quotas.Mutations(user, id, c.Version >= strictSince)
	}
	return c.share
}
