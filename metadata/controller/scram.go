package controller

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Bounds of the iterations of a SCRAM credential, as in Kafka: fewer make a
// stolen state too easy to try passwords on, more make a login cost too much.
const (
	MinScramIterations = 4096
	MaxScramIterations = 16384
)

// ScramUpsert asks for a credential. The client has salted and iterated the
// password already; from the result the keys are derived, and only they are
// kept.
type ScramUpsert struct {
	User                 string
	Mechanism            uint8
	Iterations           int32
	Salt, SaltedPassword []byte
}

// String returns the request without its secrets.
func (u ScramUpsert) String() string {
	return fmt.Sprintf("{user=%s mechanism=%d iterations=%d password=hidden}", u.User, u.Mechanism, u.Iterations)
}

// GoString is String, so that no verb prints the secrets.
func (u ScramUpsert) GoString() string { return u.String() }

// ScramResult answers for one user.
type ScramResult struct {
	User string
	Err  error
}

// AlterScram decides about credentials, user by user: who is named twice gets
// none of the changes, whatever the mechanisms, as in Kafka. There is one result
// for each user, in the order in which they are named first. The command is nil
// when nothing is to be changed.
func AlterScram(m *metadata.Image, deletions []record.ScramName, upserts []ScramUpsert) (*record.ChangeScram, []ScramResult) {
	times := make(map[string]int, len(deletions)+len(upserts))
	for i := range deletions {
		times[deletions[i].User]++
	}
	for i := range upserts {
		times[upserts[i].User]++
	}
	c := new(record.ChangeScram)
	out := make([]ScramResult, 0, len(times))
	told := make(map[string]bool, len(times))
	result := func(user string, decide func() error) {
		if told[user] {
			return
		}
		told[user] = true
		var err error
		switch {
		case times[user] > 1:
			err = fmt.Errorf("%w: user=%q", ErrDuplicateCredential, user)
		case len(c.Set)+len(c.Remove) == maxChanges:
			err = fmt.Errorf("%w: max=%d", ErrTooManyChanges, maxChanges)
		default:
			err = decide()
		}
		out = append(out, ScramResult{user, err})
	}
	for _, n := range deletions {
		result(n.User, func() error {
			if err := checkScramName(n); err != nil {
				return err
			}
			if _, ok := m.Scram(n.User, n.Mechanism); !ok {
				return fmt.Errorf("%w: user=%q mechanism=%d", ErrUnknownCredential, n.User, n.Mechanism)
			}
			c.Remove = append(c.Remove, n)
			return nil
		})
	}
	for i := range upserts {
		result(upserts[i].User, func() error {
			s, err := upserts[i].credential()
			if err == nil {
				c.Set = append(c.Set, s)
			}
			return err
		})
	}
	if len(c.Set)+len(c.Remove) == 0 {
		return nil, out
	}
	return c, out
}

func checkScramName(n record.ScramName) error {
	switch {
	case n.User == "":
		return fmt.Errorf("%w: no user", ErrUnacceptableCredential)
	case record.ScramKeySize(n.Mechanism) == 0:
		return fmt.Errorf("%w: mechanism=%d", ErrUnknownMechanism, n.Mechanism)
	case !record.ValidName(n.User, record.MaxPrincipal):
		return fmt.Errorf("%w: user of %d bytes, max=%d, and none of them 0", ErrUnacceptableCredential, len(n.User), record.MaxPrincipal)
	}
	return nil
}

// credential derives the keys (RFC 5802, section 3).
func (u *ScramUpsert) credential() (s record.Scram, err error) {
	if err := checkScramName(record.ScramName{User: u.User, Mechanism: u.Mechanism}); err != nil {
		return s, err
	}
	switch {
	case u.Iterations < MinScramIterations:
		return s, fmt.Errorf("%w: too few iterations=%d min=%d", ErrUnacceptableCredential, u.Iterations, MinScramIterations)
	case u.Iterations > MaxScramIterations:
		return s, fmt.Errorf("%w: too many iterations=%d max=%d", ErrUnacceptableCredential, u.Iterations, MaxScramIterations)
	case len(u.Salt) == 0 || len(u.Salt) > record.MaxScramSalt:
		return s, fmt.Errorf("%w: salt of %d bytes, max=%d", ErrUnacceptableCredential, len(u.Salt), record.MaxScramSalt)
	case len(u.SaltedPassword) == 0:
		return s, fmt.Errorf("%w: no salted password", ErrUnacceptableCredential)
	}
	sum := sha256.New
	if u.Mechanism == record.ScramSHA512 {
		sum = sha512.New
	}
	stored := sum()
	stored.Write(keyed(sum, u.SaltedPassword, "Client Key"))
	return record.Scram{
		User: u.User, Mechanism: u.Mechanism, Salt: u.Salt, Iterations: u.Iterations,
		StoredKey: stored.Sum(nil), ServerKey: keyed(sum, u.SaltedPassword, "Server Key"),
	}, nil
}

func keyed(sum func() hash.Hash, key []byte, text string) []byte {
	h := hmac.New(sum, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// ScramDescription tells which credentials a user has.
type ScramDescription struct {
	User        string
	Credentials []ScramInfo // in the order of the mechanisms
	Err         error
}

// ScramInfo is what may be told of a credential.
type ScramInfo struct {
	Mechanism  uint8
	Iterations int32
}

// DescribeScram describes the credentials of users, or with none named of all,
// each user once. Who is named twice gets an error, as in Kafka.
func DescribeScram(m *metadata.Image, users []string) []ScramDescription {
	var out []ScramDescription
	if len(users) == 0 {
		for s := range m.ScramUsers() {
			if n := len(out); n == 0 || out[n-1].User != s.User {
				out = append(out, ScramDescription{User: s.User})
			}
			d := &out[len(out)-1]
			d.Credentials = append(d.Credentials, ScramInfo{s.Mechanism, s.Iterations})
		}
		return out
	}
	at := make(map[string]int, len(users))
	for _, user := range users {
		if i, twice := at[user]; twice {
			out[i] = ScramDescription{User: user, Err: fmt.Errorf("%w: user=%q", ErrDuplicateCredential, user)}
			continue
		}
		at[user] = len(out)
		d := ScramDescription{User: user}
		for _, mechanism := range []uint8{record.ScramSHA256, record.ScramSHA512} {
			if s, ok := m.Scram(user, mechanism); ok {
				d.Credentials = append(d.Credentials, ScramInfo{s.Mechanism, s.Iterations})
			}
		}
		if len(d.Credentials) == 0 {
			d.Err = fmt.Errorf("%w: user=%q", ErrUnknownCredential, user)
		}
		out = append(out, d)
	}
	return slices.Clip(out)
}
