package membership

import (
	"encoding/binary"
	"fmt"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// HeartbeatRequest is the type of control request by which a broker shows that it lives.
const HeartbeatRequest uint16 = 16

const heartbeatVersion = 1

// Flags of a heartbeat and of its answer.
const (
	wantsFence    = 1
	wantsShutdown = 2

	isStale        = 1
	isFenced       = 2
	isShuttingDown = 4
	isCaughtUp     = 8
	mayStop        = 16
	notLeading     = 32
)

func appendHeartbeat(dst []byte, h *controller.Heartbeat) []byte {
	flags := byte(0)
	if h.WantFence {
		flags |= wantsFence
	}
	if h.WantShutdown {
		flags |= wantsShutdown
	}
	dst = append(dst, heartbeatVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Epoch))
	dst = binary.BigEndian.AppendUint64(dst, h.Reached)
	return append(dst, flags)
}

func parseHeartbeat(b []byte, broker int32) (controller.Heartbeat, error) {
	r := codec.NewReader(b)
	version := r.Uint8()
	h := controller.Heartbeat{Broker: broker, Epoch: r.Int64(), Reached: r.Uint64()}
	flags := r.Uint8()
	h.WantFence, h.WantShutdown = flags&wantsFence != 0, flags&wantsShutdown != 0
	if err := r.Finish(); err != nil || version != heartbeatVersion {
		return h, fmt.Errorf("heartbeat of broker=%d has version=%d bytes=%d: upgrade one release at a time", broker, version, len(b))
	}
	return h, nil
}

// answer is what the leader says to a heartbeat. leads is false when it does not lead.
type answer struct {
	controller.HeartbeatReply
	leads bool
}

func (a *answer) append(dst []byte) []byte {
	flags := byte(0)
	for _, f := range [...]struct {
		set  bool
		flag byte
	}{
		{a.Stale, isStale}, {a.Fenced, isFenced}, {a.ShuttingDown, isShuttingDown}, {a.CaughtUp, isCaughtUp}, {a.MayStop, mayStop}, {!a.leads, notLeading},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return append(dst, heartbeatVersion, flags)
}

func parseAnswer(b []byte) (a answer, err error) {
	r := codec.NewReader(b)
	version, flags := r.Uint8(), r.Uint8()
	if err := r.Finish(); err != nil || version != heartbeatVersion {
		return a, fmt.Errorf("answer to a heartbeat has version=%d bytes=%d: upgrade one release at a time", version, len(b))
	}
	a.leads = flags&notLeading == 0
	a.HeartbeatReply = controller.HeartbeatReply{
		Stale: flags&isStale != 0, Fenced: flags&isFenced != 0, ShuttingDown: flags&isShuttingDown != 0,
		CaughtUp: flags&isCaughtUp != 0, MayStop: flags&mayStop != 0,
	}
	return a, nil
}
