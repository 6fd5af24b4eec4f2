package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tidelinehq/tideline/internal/codec"
)

// Kind is what a connection is for.
type Kind uint16

// Kinds of connections. Numbers are never reused.
const (
	Raft        Kind = 1
	Control     Kind = 2
	Replication Kind = 3
	// TracedReplication is Replication with frames that say which offsets belong to traces. Only a
	// broker that traces asks for it, and does without where it is not served.
	TracedReplication Kind = 4
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Raft:
		return "raft"
	case Control:
		return "control"
	case Replication:
		return "replication"
	case TracedReplication:
		return "traced replication"
	}
	return fmt.Sprintf("kind(%d)", uint16(k))
}

// AnyNode is the node that a dialer means when it knows an address only.
const AnyNode int32 = -1

// Identity is who is at one end of a connection.
type Identity struct {
	Node        int32
	Incarnation [16]byte // random, of the process
	Cluster     string   // empty while unknown
}

// Errors of a handshake. ErrRefused comes as *RefusedError.
var (
	ErrRefused  = errors.New("peer refused the connection")
	ErrProtocol = errors.New("not the internal protocol of a broker")
)

// RefusedError is why the other side refused a connection. It is ErrRefused.
type RefusedError struct {
	Reason   string
	Final    bool // because of the cluster or the node id of one of the two: trying again is of no use
	Unserved bool // nobody serves connections of this kind there, or not yet
}

// Error implements error.
func (e *RefusedError) Error() string { return ErrRefused.Error() + ": " + e.Reason }

// Is makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

const (
	magic        = "TIDEPEER"
	version      = 1
	maxHello     = 1024 // bytes of a handshake's frame
	maxClusterID = 255
	maxReason    = 512
)

type verdict uint16

const (
	welcome      verdict = 0
	otherCluster verdict = 1
	otherNode    verdict = 2
	noHandler    verdict = 3
	otherVersion verdict = 4
	full         verdict = 5
)

type hello struct {
	version uint16
	kind    Kind
	from    Identity
	to      int32
}

func (h *hello) append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint16(dst, h.version)
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.kind))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.from.Node))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.to))
	dst = append(dst, h.from.Incarnation[:]...)
	return codec.AppendString(dst, h.from.Cluster)
}

func parseHello(b []byte) (h hello, err error) {
	r := codec.NewReader(b)
	if string(r.Take(len(magic))) != magic {
		return h, fmt.Errorf("%w: no magic", ErrProtocol)
	}
	if h.version = r.Uint16(); h.version != version {
		return h, r.Err() // what follows is for others to know
	}
	h.kind, h.from.Node, h.to = Kind(r.Uint16()), r.Int32(), r.Int32()
	copy(h.from.Incarnation[:], r.Take(16))
	h.from.Cluster = r.String()
	return h, checkParsed(&r, h.from.Cluster, "")
}

type answer struct {
	version uint16
	verdict verdict
	from    Identity
	reason  string
}

func (a *answer) append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint16(dst, a.version)
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.verdict))
	dst = binary.BigEndian.AppendUint32(dst, uint32(a.from.Node))
	dst = append(dst, a.from.Incarnation[:]...)
	dst = codec.AppendString(dst, a.from.Cluster)
	return codec.AppendString(dst, a.reason[:min(len(a.reason), maxReason)])
}

func parseAnswer(b []byte) (a answer, err error) {
	r := codec.NewReader(b)
	if string(r.Take(len(magic))) != magic {
		return a, fmt.Errorf("%w: no magic", ErrProtocol)
	}
	a.version, a.verdict, a.from.Node = r.Uint16(), verdict(r.Uint16()), r.Int32()
	copy(a.from.Incarnation[:], r.Take(16))
	a.from.Cluster, a.reason = r.String(), r.String()
	return a, checkParsed(&r, a.from.Cluster, a.reason)
}

func checkParsed(r *codec.Reader, cluster, reason string) error {
	if err := r.Finish(); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if len(cluster) > maxClusterID || len(reason) > maxReason {
		return fmt.Errorf("%w: cluster id bytes=%d reason bytes=%d", ErrProtocol, len(cluster), len(reason))
	}
	return nil
}

// writeFrame writes a handshake's frame.
func writeFrame(w io.Writer, payload []byte) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, len(payload)+8), uint32(len(payload)))
	b = append(b, payload...)
	b = binary.BigEndian.AppendUint32(b, codec.CRC32C(payload))
	_, err := w.Write(b)
	return err
}

// readFrame reads one, of at most maxHello bytes.
func readFrame(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxHello {
		return nil, fmt.Errorf("%w: frame bytes=%d max=%d", ErrProtocol, n, maxHello)
	}
	b := make([]byte, n+4)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	payload, sum := b[:n:n], binary.BigEndian.Uint32(b[n:])
	if codec.CRC32C(payload) != sum {
		return nil, fmt.Errorf("%w: checksum", ErrProtocol)
	}
	return payload, nil
}
