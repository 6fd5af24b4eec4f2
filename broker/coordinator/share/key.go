package share

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Key names a share partition: a partition as one share group reads it.
type Key struct {
	Group     string
	Topic     [16]byte
	Partition int32
}

// String is the form that FindCoordinator takes: "group:topic id:partition".
func (k Key) String() string {
	return k.Group + ":" + base64.RawURLEncoding.EncodeToString(k.Topic[:]) + ":" + strconv.Itoa(int(k.Partition))
}

// ParseKey reads what String wrote. A group id may contain colons.
func ParseKey(s string) (Key, error) {
	end := strings.LastIndexByte(s, ':')
	if end < 0 {
		return Key{}, fmt.Errorf("share partition key has no partition, key=%q", s)
	}
	partition, err := strconv.ParseInt(s[end+1:], 10, 32)
	if err != nil || partition < 0 {
		return Key{}, fmt.Errorf("share partition key has a partition that is none, key=%q", s)
	}
	middle := strings.LastIndexByte(s[:end], ':')
	if middle < 1 {
		return Key{}, fmt.Errorf("share partition key has no group or topic, key=%q", s)
	}
	id, err := base64.RawURLEncoding.DecodeString(s[middle+1 : end])
	if err != nil || len(id) != 16 {
		return Key{}, fmt.Errorf("share partition key has a topic id that is none, key=%q", s)
	}
	return Key{Group: s[:middle], Topic: [16]byte(id), Partition: int32(partition)}, nil
}

// compare orders keys, so that nothing depends on the order of a map.
func (k Key) compare(o Key) int {
	if c := strings.Compare(k.Group, o.Group); c != 0 {
		return c
	}
	if c := strings.Compare(string(k.Topic[:]), string(o.Topic[:])); c != 0 {
		return c
	}
	return int(k.Partition) - int(o.Partition)
}

// validGroup says whether a group id fits into a record's key.
func validGroup(id string) bool { return id != "" && len(id) <= maxGroupBytes && utf8.ValidString(id) }

// maxGroupBytes bounds a group id: the length in a key has 16 bits, one for the sign.
const maxGroupBytes = 1<<15 - 1
