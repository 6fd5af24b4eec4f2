package security

import (
	"encoding/hex"
	"testing"
)

// Test case 2 of RFC 4231: a client of another make must come to the same proof.
func TestTokenProof(t *testing.T) {
	const want = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
	if got := hex.EncodeToString(TokenProof("Jefe", "what do ya want for nothing?")); got != want {
		t.Errorf("got %s", got)
	}
}
