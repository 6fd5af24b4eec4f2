package broker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// isrKeeper proposes the ISRs that the partitions led here would have. All that is
// wished while a proposal is under way goes into the next.
type isrKeeper struct {
	nodeID int32
	meta   *metadataHandle
	led    func() []*partition.Partition
	conf   func() *config.Config
	epoch  func() int64 // broker epoch of this process
	logger *slog.Logger

	wake chan struct{}
	mu   sync.Mutex // guards inbox
	// inbox has the partitions of which a follower has caught up.
	inbox map[*partition.Partition]struct{}

	// unsure are partitions whose last proposal has an unknown outcome, so that a
	// decision against another one proves nothing. Of the goroutine of run.
	unsure map[*partition.Partition]struct{}
}

func newISRKeeper(k *isrKeeper) *isrKeeper {
	k.wake = make(chan struct{}, 1)
	k.inbox = make(map[*partition.Partition]struct{})
	k.unsure = make(map[*partition.Partition]struct{})
	return k
}

// CaughtUp implements partition.ISRKeeper.
func (k *isrKeeper) CaughtUp(p *partition.Partition) {
	k.mu.Lock()
	k.inbox[p] = struct{}{}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Followers that are behind are looked for several times within the time that they may
// be: so much later at most than it says do they leave.
const lagChecks = 8

// isrTimeout bounds one proposal: a wish whose outcome is unknown holds the high watermark
// back for members that may never come.
const isrTimeout = 5 * time.Second

// isrRetry is the pause after a proposal that failed.
const isrRetry = 100 * time.Millisecond

func (k *isrKeeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		lag := k.conf().ReplicaLagTimeMax
		wait := max(lag/lagChecks, time.Millisecond)
		if k.round(ctx, lag) {
			wait = min(wait, isrRetry)
		}
		timer := time.NewTimer(wait)
		select {
		case <-k.wake:
		case <-timer.C:
			// Those that lag are found by a look at all.
			k.mu.Lock()
			for _, p := range k.led() {
				k.inbox[p] = struct{}{}
			}
			k.mu.Unlock()
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// wished is one wish under way.
type wished struct {
	p *partition.Partition
	w partition.Wish
}

// round proposes what is wished. It reports whether anything is open still.
func (k *isrKeeper) round(ctx context.Context, lag time.Duration) (open bool) {
	k.mu.Lock()
	inbox := k.inbox
	k.inbox = make(map[*partition.Partition]struct{})
	k.mu.Unlock()
	image := k.meta.Image()
	active := func(id int32) bool {
		b, ok := image.Broker(id)
		return ok && b.Active()
	}
	policy := policyOf(k.conf())
	var wishes []wished
	var changes []command.PartitionChange
	for p := range inbox {
		w, ok := p.Wish(k.nodeID, lag, active)
		if !ok {
			continue
		}
		change, err := policy.AlterISR(image, k.request(image, p, &w))
		if err != nil {
			open = k.decline(p, &w, err) || open
			continue
		}
		wishes = append(wishes, wished{p, w})
		changes = append(changes, change)
	}
	return k.propose(ctx, wishes, changes) || open
}

// request is a wish in the words of the controller.
func (k *isrKeeper) request(image *metadata.Image, p *partition.Partition, w *partition.Wish) *controller.AlterISR {
	r := &controller.AlterISR{
		Topic: p.ID().Topic, Partition: p.ID().Partition, Broker: k.nodeID, BrokerEpoch: k.epoch(),
		LeaderEpoch: w.Epoch, PartitionEpoch: w.PartitionEpoch,
	}
	for _, m := range w.ISR {
		member := controller.ISRMember{Broker: m.Broker, Epoch: k.epoch()}
		if m.Broker != k.nodeID {
			member.Epoch = -1 // of no process, unless the one that was found in sync is registered
			if b, ok := image.Broker(m.Broker); ok && (b.Incarnation == m.Incarnation || m.Incarnation == [16]byte{}) {
				member.Epoch = b.Epoch
			}
		}
		r.ISR = append(r.ISR, member)
	}
	return r
}

// decline is for a wish against which this broker's own image decides. It reports whether
// the wish is to be put again.
func (k *isrKeeper) decline(p *partition.Partition, w *partition.Wish, err error) bool {
	if _, unsure := k.unsure[p]; unsure || errors.Is(err, controller.ErrBehind) || errors.Is(err, controller.ErrStalePartitionEpoch) {
		return true // the image in which the answer lies is on its way
	}
	k.logger.Debug("another isr is not asked for", "topic", p.Topic(), "partition", p.ID().Partition, "error", err)
	p.Refused(w)
	return false
}

func (k *isrKeeper) propose(ctx context.Context, wishes []wished, changes []command.PartitionChange) (open bool) {
	if len(changes) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, isrTimeout)
	defer cancel()
	results, err := k.meta.AlterPartitions(ctx, changes)
	for i := range wishes {
		x := &wishes[i]
		if i >= len(results) {
			k.unsure[x.p] = struct{}{}
			open = true
			continue
		}
		r := &results[i]
		delete(k.unsure, x.p)
		if r.Reason.Refused() && r.PartitionEpoch == x.w.PartitionEpoch {
			x.p.Refused(&x.w) // nothing has changed, and nothing that was asked before will
			continue
		}
		k.logger.DebugContext(ctx, "isr changed", "topic", x.p.Topic(), "partition", x.p.ID().Partition, "members", len(x.w.ISR))
	}
	if err != nil {
		k.logger.InfoContext(ctx, "the outcome of isr changes is not known, they are asked for again", "partitions", len(wishes)-len(results), "error", err)
	}
	return open
}
