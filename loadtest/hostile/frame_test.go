package hostile

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// expectEnd reads until the broker closes the connection.
func (c *conn) expectEnd(t *testing.T, what string) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, c); err != nil && !closedByPeer(err) {
		t.Errorf("%s: after %d bytes: %v", what, n, err)
	} else if n > 0 {
		t.Errorf("%s: %d bytes in answer", what, n)
	}
}

func TestFrames(t *testing.T) {
	n := start(t)
	good := frame(wire.KeyApiVersions, 0, 1, nil)
	sized := func(size uint32, rest []byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, size), rest...)
	}
	for name, b := range map[string][]byte{
		"2 GiB":                sized(math.MaxInt32, good[4:]),
		"more than the limit":  sized(100<<20+1, good[4:]),
		"negative size":        sized(math.MaxUint32, good[4:]),
		"most negative size":   sized(1<<31, good[4:]),
		"no size":              sized(0, good[4:]),
		"less than a header":   sized(7, good[4:]),
		"cut within a header":  sized(10, good[4:14]),
		"client id too long":   sized(10, []byte{0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff}),
		"HTTP":                 []byte("GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
		"TLS":                  {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 1, 2, 3},
		"unknown key":          frame(999, 0, 1, nil),
		"negative key":         frame(-1, 0, 1, nil),
		"a key of controllers": frame(52, 0, 1, make([]byte, 20)),
		"negative version":     frame(3, -1, 1, make([]byte, 20)),
		"Produce v2":           frame(0, 2, 1, make([]byte, 20)),
		"Fetch v3":             frame(1, 3, 1, make([]byte, 40)),
		"Metadata v99":         frame(3, 99, 1, make([]byte, 20)),
		"header with bad tags": sized(18, []byte{0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0}),
	} {
		c := n.dial(t)
		c.write(t, b)
		c.expectEnd(t, name)
		c.close()
	}
	n.wellAfter(t, "bad frames")
}

// TestFutureApiVersions: a client of the future must learn what it can speak.
func TestFutureApiVersions(t *testing.T) {
	n := start(t)
	for _, body := range [][]byte{nil, {0}, {0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 1000)} {
		c := n.dial(t)
		c.send(t, wire.KeyApiVersions, 77, body)
		reply, err := c.receive(wire.KeyApiVersions, 77)
		if err != nil {
			t.Fatalf("%x: %v", clip(body), err)
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom(reply); err != nil || resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) == 0 {
			t.Errorf("%x: %+v %v", clip(body), resp, err)
		}
		// The connection is good for the next try.
		if _, ok := c.exchange(t, wire.KeyApiVersions, 0, nil); !ok {
			t.Error("connection closed after the answer")
		}
		c.close()
	}
}

// TestTornRequests: requests of which only a part ever comes, or that come one
// byte at a time, hold up nobody else.
func TestTornRequests(t *testing.T) {
	n := start(t)
	whole := frame(3, 1, 1, kmsgMetadataAll(1))
	for cut := 1; cut < len(whole); cut += 3 {
		c := n.dial(t)
		t.Cleanup(c.close) // stays half sent until the end
		c.write(t, whole[:cut])
	}
	huge := n.dial(t)
	defer huge.close()
	huge.write(t, binary.BigEndian.AppendUint32(nil, 100<<20)) // and then nothing
	n.wellAfter(t, "half-sent requests")

	slow := n.dial(t)
	defer slow.close()
	slow.correlation = 1
	for _, b := range whole {
		slow.write(t, []byte{b})
	}
	if _, err := slow.receive(3, 1); err != nil {
		t.Errorf("a byte at a time: %v", err)
	}

	// A size that is too small: the rest is taken for the next request, and is none.
	short := n.dial(t)
	defer short.close()
	lying := frame(3, 1, 1, append(kmsgMetadataAll(1), make([]byte, 30)...))
	binary.BigEndian.PutUint32(lying, uint32(len(lying)-4-30))
	short.write(t, lying)
	short.correlation = 1
	if _, err := short.receive(3, 1); err != nil && !errors.Is(err, errClosed) {
		t.Error(err)
	}

	// Many requests at once, without reading a reply, then the end.
	for range 20 {
		c := n.dial(t)
		var b []byte
		for i := range int32(200) {
			b = append(b, frame(3, 1, i, kmsgMetadataAll(1))...)
		}
		c.write(t, b)
		c.close()
	}
	n.wellAfter(t, "abandoned pipelines")
}

func kmsgMetadataAll(version int16) []byte {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = version
	return req.AppendTo(nil)
}
