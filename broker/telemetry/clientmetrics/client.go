package clientmetrics

import (
	"cmp"
	"encoding/base64"
	"strconv"
)

// ID is the client instance id, which the first broker gives to a client.
type ID [16]byte

// String returns the form in which Kafka writes ids.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// reserved are the ids that no client may have: all zero, and one.
func (id ID) reserved() bool {
	last := id[15]
	id[15] = 0
	return id == ID{} && last <= 1
}

// hash is a UUID's hash as Kafka computes it.
func (id ID) hash() int32 {
	var x [8]byte
	for i := range x {
		x[i] = id[i] ^ id[8+i]
	}
	return int32(be32(x[:4]) ^ be32(x[4:]))
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// A Client is what a broker knows of who sends a request.
type Client struct {
	// ClientID is what the client calls itself; HasClientID is false where it has no name.
	ClientID    string
	HasClientID bool
	// SoftwareName and SoftwareVersion are what it said in ApiVersions, or empty.
	SoftwareName, SoftwareVersion string
	Address                       string
	Port                          int
	// Principal is who it acts for, as in access control lists.
	Principal string
	// Conn is the connection, unique within this broker's life; 0: none.
	Conn uint64
}

// unknown is the software of a client that has not said what it is, as in Kafka.
const unknown = "unknown"

// attribute is a value that subscriptions match; false: not known of this client.
func (c *Client) attribute(id ID, a attribute) (string, bool) {
	switch a {
	case attributeInstance:
		return id.String(), true
	case attributeClientID:
		return c.ClientID, c.HasClientID
	case attributeSoftwareName:
		return cmp.Or(c.SoftwareName, unknown), true
	case attributeSoftwareVersion:
		return cmp.Or(c.SoftwareVersion, unknown), true
	case attributeAddress:
		return c.Address, c.Address != ""
	case attributePort:
		return strconv.Itoa(c.Port), c.Port > 0
	}
	return "", false
}
