package broker

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
)

// errNotInSync is why the next broker should not be restarted yet.
var errNotInSync = errors.New("this broker has yet to catch up")

// isInSync says whether this broker is ready and has been in sync, once since it started,
// with all that it has replicas of. It is for whoever restarts brokers one after the other:
// a broker that is ready takes part, but while it has yet to catch up the others can not do
// without one another.
//
// Once it was so, it stays so. A broker that falls behind later is no less ready, and what
// ails one must not make all of them look ill: then nobody would send clients to any.
func (b *Broker) isInSync() error {
	if err := b.isReady(); err != nil {
		return err
	}
	if b.wasInSync.Load() {
		return nil
	}
	if n, topic, partition := behind(b.meta.Image(), b.cfg.NodeID); n > 0 {
		return fmt.Errorf("%w: partitions=%d the first is topic=%s partition=%d", errNotInSync, n, topic, partition)
	}
	b.wasInSync.Store(true)
	return nil
}

// behind counts the partitions of a broker in whose ISR it is not, and names the first. Those
// that nobody leads it can not catch up with, and those that are only being moved to it add
// nothing yet to what was promised.
func behind(m *metadata.Image, broker int32) (n int, topic string, partition int32) {
	for t, p := range m.HostedPartitions(broker) {
		if p.Leader == metadata.NoLeader || slices.Contains(p.ISR, broker) || slices.Contains(p.Adding, broker) {
			continue
		}
		if n++; n == 1 {
			topic, partition = t.Name, p.Index
		}
	}
	return n, topic, partition
}

// inSyncPath is the probe of isInSync. It needs no user, as the others.
const inSyncPath = "/readyz/in-sync"

func (b *Broker) inSyncProbe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok\n"
	if err := b.isInSync(); err != nil {
		text = err.Error() + "\n"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// The prober that does not wait for its answer needs none.
	_, _ = w.Write([]byte(text))
}
