package security

import "testing"

func TestPrincipalString(t *testing.T) {
	if got := Anonymous.String(); got != "User:ANONYMOUS" {
		t.Errorf("anonymous is %s", got)
	}
	alice := &Principal{Type: UserType, Name: "alice", Mechanism: "PLAIN"}
	if alice.Same(Anonymous) || !alice.Same(&Principal{Type: UserType, Name: "alice"}) {
		t.Error("who is the same is told by more or less than the name")
	}
}
