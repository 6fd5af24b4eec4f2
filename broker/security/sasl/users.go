package sasl

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Users are names with passwords, or with what stands for these. They are immutable.
type Users struct {
	by map[string]password
	// absent is compared with for a name that there is not, so that it takes as long.
	absent password
}

// password is a secret to compare with: its SHA-256, or what PBKDF2 makes of it.
type password struct {
	salt       []byte
	iterations int // 0: hash is the SHA-256 of the password
	hash       [sha256.Size]byte
}

// Bounds of users.
const (
	maxUsers         = 100_000
	maxUserIteration = 10_000_000
)

// pbkdf2Prefix begins a password that is written as a hash.
const pbkdf2Prefix = "$pbkdf2-sha256$"

// Judge reports whether the password is that of the user.
func (u *Users) Judge(user, text string) bool {
	p, known := u.by[user]
	if !known {
		p = u.absent
	}
	return p.equal(text) && known
}

// Len is the number of users.
func (u *Users) Len() int { return len(u.by) }

func (p *password) equal(text string) bool {
	got := sha256.Sum256([]byte(text))
	if p.iterations > 0 {
		key, err := pbkdf2.Key(sha256.New, text, p.salt, p.iterations, sha256.Size)
		if err != nil {
			return false
		}
		copy(got[:], key)
	}
	return subtle.ConstantTimeCompare(got[:], p.hash[:]) == 1
}

// newUsers makes users of names and passwords.
func newUsers(passwords map[string]password) *Users {
	u := &Users{by: passwords}
	for _, p := range passwords {
		// As slow as the slowest: that may tell that there are slow ones, not who they are.
		if p.iterations >= u.absent.iterations {
			u.absent = password{salt: []byte("absent"), iterations: p.iterations}
		}
	}
	return u
}

// plainPassword is a password as it is.
func plainPassword(text string) password { return password{hash: sha256.Sum256([]byte(text))} }

// ParseUsers reads a file of users, one on a line: name:password. Lines that are empty or
// begin with # are left out. Errors name the line, never what is on it.
func ParseUsers(text string) (*Users, error) {
	users := map[string]password{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, secret, ok := strings.Cut(line, ":")
		if !ok || name == "" || secret == "" || len(name) > maxNameBytes {
			return nil, fmt.Errorf("line is not name:password: line=%d", number)
		}
		if _, twice := users[name]; twice {
			return nil, fmt.Errorf("user is there twice: line=%d", number)
		}
		p := plainPassword(secret)
		if strings.HasPrefix(secret, pbkdf2Prefix) {
			var err error
			if p, err = parseHashed(secret); err != nil {
				return nil, fmt.Errorf("%w: line=%d", err, number)
			}
		}
		if users[name] = p; len(users) > maxUsers {
			return nil, fmt.Errorf("too many users: limit=%d", maxUsers)
		}
	}
	return newUsers(users), nil
}

// parseHashed reads $pbkdf2-sha256$<iterations>$<salt>$<hash>.
func parseHashed(text string) (password, error) {
	parts := strings.Split(strings.TrimPrefix(text, pbkdf2Prefix), "$")
	if len(parts) != 3 {
		return password{}, errors.New("password is not " + pbkdf2Prefix + "iterations$salt$hash")
	}
	iterations, err := strconv.Atoi(parts[0])
	if err != nil || iterations < 1 || iterations > maxUserIteration {
		return password{}, fmt.Errorf("iterations of a password are not from 1 to %d", maxUserIteration)
	}
	salt, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil || len(salt) == 0 {
		return password{}, errors.New("salt of a password is not base64")
	}
	hash, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(hash) != sha256.Size {
		return password{}, fmt.Errorf("hash of a password is not base64 of %d bytes", sha256.Size)
	}
	p := password{salt: salt, iterations: iterations}
	copy(p.hash[:], hash)
	return p, nil
}

// UsersOf are the users that a sasl.jaas.config of PLAIN names: user_alice="secret".
func UsersOf(m *LoginModule) (*Users, error) {
	users := map[string]password{}
	for key, value := range m.Options {
		if name, ok := strings.CutPrefix(key, "user_"); ok && name != "" {
			users[name] = plainPassword(value)
		}
	}
	if len(users) == 0 {
		return nil, errors.New("sasl.jaas.config of PLAIN names no user: options are user_<name>=\"<password>\"")
	}
	return newUsers(users), nil
}
