package api

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/metadata/quorum"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// forwarding is broker 2, of whose cluster broker 1 is the leader.
func forwarding(t *testing.T, leader *API) *cluster {
	c := newCluster(t, 3, "node.id=2")
	c.api.Forward = toBroker(leader)
	return c
}

// toBroker hands everything on to one broker.
func toBroker(a *API) func(context.Context, int32, []byte) ([]byte, error) {
	return func(ctx context.Context, _ int32, request []byte) ([]byte, error) { return a.Forwarded(ctx, request) }
}

// TestForwarded: whichever broker is asked, the leader of the metadata answers.
func TestForwarded(t *testing.T) {
	leader := newCluster(t, 3, "node.id=1")
	leader.api.Quorum = newGroup()
	c := forwarding(t, leader.api)
	p := ask[*kmsg.DescribeQuorumResponse](c, 2, quorumRequest(metadataTopic, 0)).Topics[0].Partitions[0]
	if code(p.ErrorCode) != "NONE" || len(p.CurrentVoters) != 2 || p.CurrentVoters[1].LogEndOffset != 90 {
		t.Errorf("described: %+v", p)
	}

	// The one that was taken for the leader is none, and does not hand it on.
	other := newCluster(t, 3, "node.id=3")
	other.api.Quorum, other.api.Forward = newGroup(), func(context.Context, int32, []byte) ([]byte, error) { panic("handed on again") }
	for why, x := range map[string]struct {
		forward func(context.Context, int32, []byte) ([]byte, error)
		want    string
	}{
		"not the leader": {toBroker(other.api), "NOT_CONTROLLER"},
		"out of reach":   {func(context.Context, int32, []byte) ([]byte, error) { return nil, quorum.ErrNotLeader }, "NOT_CONTROLLER"},
		"no answer":      {func(context.Context, int32, []byte) ([]byte, error) { return nil, quorum.ErrUnknown }, "REQUEST_TIMED_OUT"},
		"nonsense":       {func(context.Context, int32, []byte) ([]byte, error) { return []byte{1}, nil }, "KAFKA_STORAGE_ERROR"},
	} {
		c.api.Forward = x.forward
		p := ask[*kmsg.DescribeQuorumResponse](c, 2, quorumRequest(metadataTopic, 0)).Topics[0].Partitions[0]
		if code(p.ErrorCode) != x.want || p.LeaderID != -1 || p.ErrorMessage == nil {
			t.Errorf("%s: %+v", why, p)
		}
	}
}

// Bytes that brokers of other releases send.
var forwardedGolden = map[string]func() kmsg.Request{
	"01" + "0037" + "0002" + "02" + "13" + hex.EncodeToString([]byte(metadataTopic)) + "02" + "00000000" + "00" + "00" + "00": func() kmsg.Request {
		req := quorumRequest(metadataTopic, 0)
		req.SetVersion(2)
		return req
	},
	"01" + "0037" + "0000" + "02" + "02" + "61" + "03" + "00000001" + "00" + "00000002" + "00" + "00" + "00": func() kmsg.Request {
		req := quorumRequest("a", 1, 2)
		req.SetVersion(0)
		return req
	},
}

func TestForwardedBytes(t *testing.T) {
	for golden, make := range forwardedGolden {
		req := make()
		b := appendForwarded(nil, req)
		if got := hex.EncodeToString(b); got != golden {
			t.Errorf("%s: %s, want %s", kmsg.NameForKey(req.Key()), got, golden)
		}
		again, err := parseForwarded(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(appendForwarded(nil, again)); got != golden {
			t.Errorf("%s: read as %s", golden, got)
		}
		for n := range b {
			if _, err := parseForwarded(b[:n]); err == nil {
				t.Errorf("%s cut at %d is read", golden, n)
			}
		}
	}
	for text, want := range map[string]error{
		"02" + "0037" + "0002":                command.ErrUnknownVersion,
		"01" + "0037" + "0003":                command.ErrUnknownVersion,
		"01" + "0003" + "0000":                errNotForwarded, // whatever can be answered by anybody
		"01" + "ffff" + "0000":                errNotForwarded,
		"01" + "0037" + "0002" + "ffffffff0f": wire.ErrMalformed,
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseForwarded(b); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

// answered is a coordinator that answers every request with nothing.
type answered struct{}

func (answered) Handle(req kmsg.Request, reply func(kmsg.Response)) bool {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	reply(resp)
	return true
}

// FuzzForwarded: no bytes from another broker do harm, and those that are a request have an answer.
func FuzzForwarded(f *testing.F) {
	for golden := range forwardedGolden {
		b, err := hex.DecodeString(golden)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c := newCluster(f, 3, "node.id=1")
	c.api.Quorum, c.api.ShareState = newGroup(), answered{}
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := parseForwarded(b)
		if err != nil {
			return
		}
		answer, err := c.api.Forwarded(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		resp := req.ResponseKind()
		resp.SetVersion(req.GetVersion())
		if err := resp.ReadFrom(answer); err != nil {
			t.Fatal(err)
		}
	})
}
