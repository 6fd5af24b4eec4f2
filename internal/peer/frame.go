package peer

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
)

type status uint16

const (
	done        status = 0
	failed      status = 1
	unknownType status = 2
	busy        status = 3
)

// message is a request or an answer on a control connection.
type message struct {
	id      uint64
	typ     uint16
	status  status
	payload []byte
}

const (
	lengthBytes = 4
	headBytes   = lengthBytes + 4 + 8 + 2 + 2 // with the length
)

// appendHead appends the message without its payload.
func (m *message) appendHead(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(headBytes-lengthBytes+len(m.payload)))
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, m.id)
	dst = binary.BigEndian.AppendUint16(dst, m.typ)
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.status))
	binary.BigEndian.PutUint32(dst[at:], codec.CRC32C(dst[at+4:], m.payload))
	return dst
}

// writeTimeout is for a peer that reads nothing, because it is stopped or the network is gone: longer than any pause that it
// comes back from, and a bound on how long a caller's context is not looked at.
const writeTimeout = 10 * time.Second

// writeTo sends the message. One writer at a time.
func (m *message) writeTo(conn net.Conn) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	bufs := net.Buffers{m.appendHead(make([]byte, 0, headBytes)), m.payload}
	_, err := bufs.WriteTo(conn)
	return err
}

// readMessage reads one with at most maxPayload bytes of payload.
func readMessage(r io.Reader, maxPayload int) (m message, err error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return m, err
	}
	length := int64(binary.BigEndian.Uint32(head[:]))
	size := length - (headBytes - lengthBytes)
	if size < 0 || size > int64(maxPayload) {
		return m, fmt.Errorf("%w: message bytes=%d max=%d", ErrProtocol, length, maxPayload+headBytes-lengthBytes)
	}
	m.payload = make([]byte, size)
	if _, err := io.ReadFull(r, m.payload); err != nil {
		return m, noEOF(err)
	}
	at := lengthBytes + 4
	if sum := codec.CRC32C(head[at:], m.payload); sum != binary.BigEndian.Uint32(head[lengthBytes:]) {
		return m, fmt.Errorf("%w: checksum of a message of bytes=%d", ErrProtocol, length)
	}
	m.id, m.typ = binary.BigEndian.Uint64(head[at:]), binary.BigEndian.Uint16(head[at+8:])
	m.status = status(binary.BigEndian.Uint16(head[at+10:]))
	return m, nil
}

// noEOF is for an end within a message.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
