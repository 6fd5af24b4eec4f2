package metadata

import (
	"errors"
	"fmt"
)

// Errors of changes to the metadata group. ErrRefused is another.
var (
	// ErrNoChange says that a voter votes already, or that who should lose its vote has none.
	ErrNoChange = errors.New("no change of the metadata group")
	// ErrNotMember says that a broker is not in the metadata group.
	ErrNotMember = errors.New("not a member of the metadata group")
)

// MemberChange is one step of a change to who votes in the metadata group.
type MemberChange struct {
	Kind MemberChangeKind
	Node int32
}

// MemberChangeKind is what happens to a member. Numbers go over the wire and are never reused.
type MemberChangeKind uint8

// Kinds of changes.
const (
	Promote MemberChangeKind = 1 // an observer votes from now on
	Demote  MemberChangeKind = 2 // a voter follows from now on
	Remove  MemberChangeKind = 3 // it is a member no more
)

// String returns the name of the kind.
func (k MemberChangeKind) String() string {
	switch k {
	case Promote:
		return "promote"
	case Demote:
		return "demote"
	case Remove:
		return "remove"
	}
	return fmt.Sprintf("change(%d)", uint8(k))
}
