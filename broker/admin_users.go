package broker

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"net"
	"net/http"
	"sync"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/broker/security/audit"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// adminUsers lets the users of the metadata through to the admin API, by HTTP's basic authentication against their SCRAM credentials: what is stored of a
// password is enough to check one that is shown.
type adminUsers struct {
	image func() *metadata.Image
	// authorizer judges what a user asks for; nil: every user may do everything.
	authorizer func() *acl.Authorizer
	audit      *audit.Log
	salt       [32]byte      // of this process, so that known holds no passwords
	slots      chan struct{} // checks that run at once: each costs as much as the user's iterations

	mu         sync.Mutex // guards what follows
	generation uint64     // of the credentials by which the known ones were good
	known      map[[sha256.Size]byte]struct{}
}

// Bounds of the checks of passwords: a check is work that somebody who is nobody can cause.
const (
	passwordChecks  = 2
	maxKnownLogins  = 1000
	maxPasswordSize = 1024
)

func newAdminUsers(u *adminUsers) *adminUsers {
	u.slots, u.known = make(chan struct{}, passwordChecks), make(map[[sha256.Size]byte]struct{})
	_, _ = rand.Read(u.salt[:]) // never fails
	return u
}

// isProbe: these paths need no user: probes have none, and they say no more than whether the broker is there.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == inSyncPath }

// adminScram is the value of http.users with which the admin port asks who comes.
const adminScram = "scram"

// adminListener is the name of the admin port in the audit log.
const adminListener = "http"

// guard asks for a user, and whether that may do what is asked for, before it lets anybody through.
func (u *adminUsers) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		user, password, given := r.BasicAuth()
		switch {
		case !given:
			refuseUser(w, http.StatusUnauthorized, "give the name and password of a user that has a SCRAM credential")
		case !u.good(r, user, password):
			u.audit.AuthenticationFailed(security.UserType+":"+user, host, adminListener, "BASIC", errPassword)
			refuseUser(w, http.StatusUnauthorized, "give the name and password of a user that has a SCRAM credential")
		case !u.may(&security.Principal{Type: security.UserType, Name: user, Mechanism: "BASIC"}, host, r):
			refuseUser(w, http.StatusForbidden, "this user may not do that: looking needs Describe on the cluster, everything else Alter")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

var errPassword = errors.New("no such user, or not its password")

// may judges what a user asks for: to look is to describe the cluster, and to change anything to alter it.
func (u *adminUsers) may(p *security.Principal, host string, r *http.Request) bool {
	if u.authorizer == nil {
		return true
	}
	op := acl.Describe
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		op = acl.Alter
	}
	allowed := u.authorizer().Allowed(p, host, op, acl.Cluster, acl.ClusterName)
	u.audit.Judged(audit.Client{Principal: p, Host: host, Listener: adminListener}, op.String(), "cluster:"+acl.ClusterName, r.Method+" "+r.URL.Path, allowed)
	return allowed
}

func refuseUser(w http.ResponseWriter, status int, message string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="tideline", charset="UTF-8"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Who does not wait for the answer needs none.
	_ = json.NewEncoder(w).Encode(adminapi.Error{Message: message})
}

// good checks a password. One that was good is remembered, as a keyed hash, until credentials change.
func (u *adminUsers) good(r *http.Request, user, password string) bool {
	if len(user) > maxPasswordSize || len(password) > maxPasswordSize {
		return false
	}
	image := u.image()
	if image == nil {
		return false
	}
	mac := hmac.New(sha256.New, u.salt[:])
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(user)))) // so that nobody's name ends in somebody's password
	mac.Write([]byte(user + password))
	login := [sha256.Size]byte(mac.Sum(nil))
	if u.remembers(image.ScramGeneration(), login) {
		return true
	}
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-r.Context().Done():
		return false
	}
	if !checkPassword(image, user, password) {
		return false
	}
	u.remember(image.ScramGeneration(), login)
	return true
}

func (u *adminUsers) remembers(generation uint64, login [sha256.Size]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.known[login]
	return ok && generation == u.generation
}

func (u *adminUsers) remember(generation uint64, login [sha256.Size]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if generation != u.generation || len(u.known) >= maxKnownLogins {
		clear(u.known)
		u.generation = generation
	}
	u.known[login] = struct{}{}
}

// Mechanisms of SCRAM, as the metadata number them.
var scramHashes = []struct {
	mechanism uint8
	hash      func() hash.Hash
	size      int
}{{2, sha512.New, sha512.Size}, {1, sha256.New, sha256.Size}}

// nobody is the credential that is checked for a user who has none, so that the time of the answer does not tell.
var nobody = command.Scram{Salt: []byte("nobody"), Iterations: 4096}

// checkPassword makes of a password what SCRAM stores of it (RFC 5802: StoredKey = H(HMAC(SaltedPassword, "Client Key"))), and compares.
func checkPassword(image *metadata.Image, user, password string) bool {
	for _, h := range scramHashes {
		if s, ok := image.Scram(user, h.mechanism); ok {
			return matches(&s, h.hash, h.size, password)
		}
	}
	matches(&nobody, sha512.New, sha512.Size, password)
	return false
}

func matches(s *command.Scram, h func() hash.Hash, size int, password string) bool {
	salted, err := pbkdf2.Key(h, password, s.Salt, int(s.Iterations), size)
	if err != nil {
		return false
	}
	mac := hmac.New(h, salted)
	mac.Write([]byte("Client Key"))
	sum := h()
	sum.Write(mac.Sum(nil))
	return subtle.ConstantTimeCompare(sum.Sum(nil), s.StoredKey) == 1
}
