package security

// Principal is who the requests of a connection act for. It is immutable.
type Principal struct {
	Type string // "User"
	Name string
	// Groups are those that a token names; nil for every other way in.
	Groups []string
	// Token is the id of the delegation token that the client proved to have, or empty.
	Token string
	// Mechanism is the SASL mechanism, or empty.
	Mechanism string
}

// UserType is the type of every principal that is a user: Kafka knows no other.
const UserType = "User"

// Anonymous is who a client is that was not asked for its name.
var Anonymous = &Principal{Type: UserType, Name: "ANONYMOUS"}

// String returns the form that access control lists have: User:alice.
func (p *Principal) String() string { return p.Type + ":" + p.Name }

// Same reports whether two principals have one name: what a re-authentication may
// not change.
func (p *Principal) Same(o *Principal) bool { return p.Type == o.Type && p.Name == o.Name }
