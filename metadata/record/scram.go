package record

import (
	"fmt"
	"log/slog"
)

// Mechanisms of SCRAM, in Kafka's numbers.
const (
	ScramSHA256 uint8 = 1
	ScramSHA512 uint8 = 2
)

// Scram is what a server needs to verify a user's password by one mechanism
// (RFC 5802): not the password, nor anything that it could be used in place of
// it, but with the keys and a guess it can be tried. So neither is ever printed.
type Scram struct {
	User                       string
	Mechanism                  uint8
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

// Valid reports whether a credential can be kept.
func (s *Scram) Valid() bool {
	size := ScramKeySize(s.Mechanism)
	return size > 0 && len(s.StoredKey) == size && len(s.ServerKey) == size && len(s.Salt) > 0 && len(s.Salt) <= MaxScramSalt &&
		s.Iterations > 0 && ValidName(s.User, MaxPrincipal)
}

// ScramKeySize returns the size of the keys of a mechanism in bytes, 0 when it is unknown.
func ScramKeySize(mechanism uint8) int {
	switch mechanism {
	case ScramSHA256:
		return 32
	case ScramSHA512:
		return 64
	}
	return 0
}

// String returns the credential without its salt and keys.
func (s Scram) String() string {
	return fmt.Sprintf("{user=%s mechanism=%d iterations=%d keys=hidden}", s.User, s.Mechanism, s.Iterations)
}

// GoString is String, so that no verb prints the keys.
func (s Scram) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Scram) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Name returns whose credential it is.
func (s *Scram) Name() ScramName { return ScramName{s.User, s.Mechanism} }

// ScramName names a credential.
type ScramName struct {
	User      string
	Mechanism uint8
}

// Key is the place of the credential in the order of all: by user, then mechanism.
func (n ScramName) Key() string { return n.User + "\x00" + string([]byte{n.Mechanism}) }

func codeScram(k *coder, s *Scram) {
	k.str(&s.User, MaxPrincipal)
	k.u8(&s.Mechanism)
	k.bytes(&s.Salt, MaxScramSalt)
	k.bytes(&s.StoredKey, maxScramKey)
	k.bytes(&s.ServerKey, maxScramKey)
	k.i32(&s.Iterations)
}

func (s *Scram) codeState(k *coder, _ uint8) { codeScram(k, s) }

// ChangeScram removes credentials, then sets others, all of them or none. To
// remove what is not there is no error.
type ChangeScram struct {
	Set    []Scram
	Remove []ScramName
}

// ChunkScram cuts a ChangeScram that may be larger than one command.
func ChunkScram(c *ChangeScram) []*ChangeScram {
	var out []*ChangeScram
	if len(c.Set) > 0 {
		for _, p := range chunk(c.Set, MaxScram, 0, func(s *Scram) int { return 16 + len(s.User) + len(s.Salt) + 2*maxScramKey }) {
			out = append(out, &ChangeScram{Set: p})
		}
	}
	if len(c.Remove) > 0 {
		for _, p := range chunk(c.Remove, MaxScram, 0, func(n *ScramName) int { return 8 + len(n.User) }) {
			out = append(out, &ChangeScram{Remove: p})
		}
	}
	return out
}

// Type implements Command.
func (*ChangeScram) Type() Type { return TypeChangeScram }

func (c *ChangeScram) code(k *coder, _ uint8) {
	list(k, &c.Set, MaxScram, 6, codeScram)
	list(k, &c.Remove, MaxScram, 2, func(k *coder, n *ScramName) {
		k.str(&n.User, MaxPrincipal)
		k.u8(&n.Mechanism)
	})
}
