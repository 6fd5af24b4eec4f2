package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Errors of decoding and encoding. They answer different questions: upgrade
// (unknown), repair (corrupt), split (too large).
var (
	ErrUnknownType    = errors.New("unknown metadata record type")
	ErrUnknownVersion = errors.New("unknown metadata record version")
	ErrCorrupt        = errors.New("corrupt metadata record")
	ErrTooLarge       = errors.New("metadata command too large")
)

// Type is the type byte of a command. Numbers are never reused.
type Type uint8

// Command types.
const (
	TypeInitCluster         Type = 1
	TypeFinalizeFeatures    Type = 2
	TypeRegisterBroker      Type = 3
	TypeFenceBroker         Type = 4
	TypeUnfenceBroker       Type = 5
	TypeRemoveBroker        Type = 6
	TypeCreateTopic         Type = 7
	TypeDeleteTopic         Type = 8
	TypeCreatePartitions    Type = 9
	TypeSetTopicConfig      Type = 10
	TypeSetBrokerConfig     Type = 11
	TypeAllocateProducerIDs Type = 12
	TypeChangePartition     Type = 13
	TypeBeginUpload         Type = 14
	TypeAbortUpload         Type = 15
	TypeCommitUpload        Type = 16
	TypeSpill               Type = 17
	TypeRetain              Type = 18
	TypeSetLogStart         Type = 19
	TypeCollectGarbage      Type = 20
	TypePurgeProgress       Type = 21
	TypePurgeDone           Type = 22
	TypeShutdownBroker      Type = 23
	TypeDrainBroker         Type = 24
	TypeReplace             Type = 25
	TypeSetCleaned          Type = 26
	TypeSetGroupConfig      Type = 27
	TypeChangeACLs          Type = 28
	TypeSetRole             Type = 29
	TypeRemoveRole          Type = 30
	TypeChangeGrants        Type = 31
	TypeChangeScram         Type = 32
	TypeChangeQuotas        Type = 33
	TypeSetToken            Type = 34
	TypeRemoveToken         Type = 35
	TypeSetClientMetrics    Type = 36
)

// Command is a change of the cluster state. All are pointers to the structs of
// this package.
type Command interface {
	// Type returns the type byte.
	Type() Type
	code(k *coder, version uint8)
}

// kinds is the registry: name, newest version, and constructor of each type.
var kinds = [...]struct {
	name    string
	version uint8
	make    func() Command
}{
	TypeInitCluster:         {"InitCluster", 1, func() Command { return new(InitCluster) }},
	TypeFinalizeFeatures:    {"FinalizeFeatures", 1, func() Command { return new(FinalizeFeatures) }},
	TypeRegisterBroker:      {"RegisterBroker", 1, func() Command { return new(RegisterBroker) }},
	TypeFenceBroker:         {"FenceBroker", 1, func() Command { return new(FenceBroker) }},
	TypeUnfenceBroker:       {"UnfenceBroker", 1, func() Command { return new(UnfenceBroker) }},
	TypeRemoveBroker:        {"RemoveBroker", 1, func() Command { return new(RemoveBroker) }},
	TypeCreateTopic:         {"CreateTopic", 1, func() Command { return new(CreateTopic) }},
	TypeDeleteTopic:         {"DeleteTopic", 1, func() Command { return new(DeleteTopic) }},
	TypeCreatePartitions:    {"CreatePartitions", 1, func() Command { return new(CreatePartitions) }},
	TypeSetTopicConfig:      {"SetTopicConfig", 1, func() Command { return new(SetTopicConfig) }},
	TypeSetBrokerConfig:     {"SetBrokerConfig", 1, func() Command { return new(SetBrokerConfig) }},
	TypeAllocateProducerIDs: {"AllocateProducerIDs", 1, func() Command { return new(AllocateProducerIDs) }},
	TypeChangePartition:     {"ChangePartition", 1, func() Command { return new(ChangePartition) }},
	TypeBeginUpload:         {"BeginUpload", 1, func() Command { return new(BeginUpload) }},
	TypeAbortUpload:         {"AbortUpload", 1, func() Command { return new(AbortUpload) }},
	TypeCommitUpload:        {"CommitUpload", 1, func() Command { return new(CommitUpload) }},
	TypeSpill:               {"Spill", 1, func() Command { return new(Spill) }},
	TypeRetain:              {"Retain", 1, func() Command { return new(Retain) }},
	TypeSetLogStart:         {"SetLogStart", 1, func() Command { return new(SetLogStart) }},
	TypeCollectGarbage:      {"CollectGarbage", 1, func() Command { return new(CollectGarbage) }},
	TypePurgeProgress:       {"PurgeProgress", 1, func() Command { return new(PurgeProgress) }},
	TypePurgeDone:           {"PurgeDone", 1, func() Command { return new(PurgeDone) }},
	TypeShutdownBroker:      {"ShutdownBroker", 1, func() Command { return new(ShutdownBroker) }},
	TypeDrainBroker:         {"DrainBroker", 1, func() Command { return new(DrainBroker) }},
	TypeReplace:             {"Replace", 1, func() Command { return new(Replace) }},
	TypeSetCleaned:          {"SetCleaned", 1, func() Command { return new(SetCleaned) }},
	TypeSetGroupConfig:      {"SetGroupConfig", 1, func() Command { return new(SetGroupConfig) }},
	TypeChangeACLs:          {"ChangeACLs", 1, func() Command { return new(ChangeACLs) }},
	TypeSetRole:             {"SetRole", 1, func() Command { return new(SetRole) }},
	TypeRemoveRole:          {"RemoveRole", 1, func() Command { return new(RemoveRole) }},
	TypeChangeGrants:        {"ChangeGrants", 1, func() Command { return new(ChangeGrants) }},
	TypeChangeScram:         {"ChangeScram", 1, func() Command { return new(ChangeScram) }},
	TypeChangeQuotas:        {"ChangeQuotas", 1, func() Command { return new(ChangeQuotas) }},
	TypeSetToken:            {"SetToken", 1, func() Command { return new(SetToken) }},
	TypeRemoveToken:         {"RemoveToken", 1, func() Command { return new(RemoveToken) }},
	TypeSetClientMetrics:    {"SetClientMetrics", 1, func() Command { return new(SetClientMetrics) }},
}

func (t Type) known() bool { return int(t) < len(kinds) && kinds[t].make != nil }

// String returns the name of the type.
func (t Type) String() string {
	if t.known() {
		return kinds[t].name
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// Types returns all command types in order.
func Types() []Type {
	var out []Type
	for t := range kinds {
		if Type(t).known() {
			out = append(out, Type(t))
		}
	}
	return out
}

// New returns an empty command of the type, or nil when it is unknown.
func New(t Type) Command {
	if !t.known() {
		return nil
	}
	return kinds[t].make()
}

const header = 6 // crc32c, type, version

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the encoded command to dst, in its newest version. It fails
// with ErrTooLarge above MaxSize: split it with a Chunk function. A field
// beyond its own bound fails with ErrCorrupt.
func Append(dst []byte, c Command) ([]byte, error) {
	t := c.Type()
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, byte(t), kinds[t].version)
	k := coder{buf: dst}
	c.code(&k, kinds[t].version)
	if k.err != nil {
		return dst[:start], fmt.Errorf("encode %s: %w", t, k.err)
	}
	if n := len(k.buf) - start; n > MaxSize {
		return dst[:start], fmt.Errorf("encode %s: %w: bytes=%d max=%d", t, ErrTooLarge, n, MaxSize)
	}
	binary.LittleEndian.PutUint32(k.buf[start:], crc32.Checksum(k.buf[start+4:], castagnoli))
	return k.buf, nil
}

// Decode returns the command in b. It keeps no reference to b. The errors are
// ErrTooLarge, ErrUnknownType, ErrUnknownVersion and ErrCorrupt.
func Decode(b []byte) (Command, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("decode command: %w: bytes=%d max=%d", ErrTooLarge, len(b), MaxSize)
	}
	if len(b) < header {
		return nil, fmt.Errorf("decode command: %w: bytes=%d", ErrCorrupt, len(b))
	}
	if want, got := binary.LittleEndian.Uint32(b), crc32.Checksum(b[4:], castagnoli); want != got {
		return nil, fmt.Errorf("decode command: %w: crc=%08x computed=%08x", ErrCorrupt, want, got)
	}
	t, version := Type(b[4]), b[5]
	if !t.known() {
		return nil, fmt.Errorf("decode command: %w: type=%d version=%d", ErrUnknownType, uint8(t), version)
	}
	if version == 0 || version > kinds[t].version {
		return nil, fmt.Errorf("decode %s: %w: version=%d newest=%d", t, ErrUnknownVersion, version, kinds[t].version)
	}
	c := kinds[t].make()
	k := coder{buf: b[header:], decoding: true}
	c.code(&k, version)
	if k.err == nil && len(k.buf) > 0 {
		k.fail("trailing bytes")
	}
	if k.err != nil {
		return nil, fmt.Errorf("decode %s: %w", t, k.err)
	}
	return c, nil
}
