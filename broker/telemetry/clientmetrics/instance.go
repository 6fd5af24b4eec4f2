package clientmetrics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
)

// instance is the state of one instance of a client.
type instance struct {
	id             ID
	client         Client // as it was when the instance was first seen
	generation     uint64 // of the subscriptions that it was computed from
	subscriptionID int32
	metrics        []string
	interval       time.Duration

	// lastGet and lastPush are when the client was last allowed to ask and to push; zero: never.
	lastGet, lastPush time.Time
	// terminating: the client has said that it pushes no more.
	terminating bool
	// again: the client was told to ask anew, and may do so at once.
	again bool
	// expires is when the instance is forgotten unless it is heard of.
	expires time.Time
	conn    uint64 // whose end is the instance's end
}

// minExpiry is how long an instance is kept at least.
const minExpiry = time.Minute

// subscribe computes what is wanted of a client.
func subscribe(id ID, c Client, subscriptions []Subscription, generation uint64) *instance {
	i := &instance{id: id, client: c, generation: generation, interval: DefaultInterval}
	all := false
	for n := range subscriptions {
		s := &subscriptions[n]
		if !s.Matches(id, &c) {
			continue
		}
		all = all || slices.Contains(s.Metrics, AllMetrics)
		i.metrics = append(i.metrics, s.Metrics...)
		i.interval = min(i.interval, s.Interval)
	}
	slices.Sort(i.metrics)
	i.metrics = slices.Compact(i.metrics)
	if all {
		i.metrics = []string{AllMetrics}
	}
	i.subscriptionID = subscriptionID(i.metrics, i.interval, id)
	return i
}

// subscriptionID is the same on every broker, and as in Kafka but for the order of more than one metric: the
// checksum of the answer, mixed with the client.
func subscriptionID(metrics []string, interval time.Duration, id ID) int32 {
	text := "[" + strings.Join(metrics, ", ") + "]" + strconv.FormatInt(interval.Milliseconds(), 10)
	return int32(codec.CRC32C([]byte(text))) ^ id.hash()
}

// mayGet tells whether the client may ask now, and notes that it did. One that was told to ask
// anew always may; it does not count as having asked.
func (i *instance) mayGet(now time.Time) bool {
	last := i.lastGet
	if i.lastPush.After(last) {
		last = i.lastPush
	}
	if last.IsZero() || now.Sub(last) >= i.interval {
		i.lastGet = now
		return true
	}
	return i.again
}

// mayPush tells whether the client may push now, and notes that it did. The first push after an
// answer may come at any time: clients spread theirs.
func (i *instance) mayPush(now time.Time) bool {
	if i.lastGet.After(i.lastPush) || i.lastPush.IsZero() || now.Sub(i.lastPush) >= i.interval {
		i.lastPush = now
		return true
	}
	return false
}

// check decides about a push, and takes down what it means for the next request.
func (i *instance) check(p *Push, maxBytes int, now time.Time) error {
	ended := i.terminating
	i.terminating = p.Terminating
	switch {
	case ended:
		return fmt.Errorf("%w: client_instance_id=%s", ErrTerminated, i.id)
	case !i.mayPush(now) && !p.Terminating:
		return fmt.Errorf("%w: client_instance_id=%s interval=%s", ErrTooOften, i.id, i.interval)
	case p.SubscriptionID != i.subscriptionID:
		return fmt.Errorf("%w: client_instance_id=%s", ErrUnknownSubscription, i.id)
	case !supported(p.Codec):
		return fmt.Errorf("%w: codec=%d client_instance_id=%s", ErrCodec, p.Codec, i.id)
	case len(p.Metrics) > maxBytes:
		return fmt.Errorf("%w: bytes=%d limit_bytes=%d client_instance_id=%s", ErrTooLarge, len(p.Metrics), maxBytes, i.id)
	}
	return nil
}
