package sasl

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
)

// Refusals of PLAIN, in Kafka's words.
var (
	errPlainWrong = &Refusal{"Authentication failed: Invalid username or password"}
	errOtherName  = &Refusal{"Authentication failed: Client requested an authorization id that is different from username"}
	errNoUser     = &Refusal{"Authentication failed: username not specified"}
	errNoPassword = &Refusal{"Authentication failed: password not specified"}
)

// plainExchange has one step: [authorization id] NUL user NUL password.
type plainExchange struct {
	judge func(user, password string) bool
	user  string
}

func (e *plainExchange) Claimed() string { return e.user }

func (e *plainExchange) Step(in []byte, _ time.Time) ([]byte, *Result, error) {
	authorization, user, password, err := parsePlain(in)
	if err != nil {
		return nil, nil, err
	}
	e.user = user
	if !e.judge(user, password) {
		return nil, nil, errPlainWrong
	}
	if authorization != "" && authorization != user {
		return nil, nil, errOtherName
	}
	return nil, &Result{Principal: &security.Principal{Type: security.UserType, Name: user, Mechanism: Plain}}, nil
}

func parsePlain(in []byte) (authorization, user, password string, err error) {
	parts := bytes.SplitN(in, []byte{0}, 4)
	switch {
	case len(parts) != 3:
		return "", "", "", &Refusal{fmt.Sprintf("Invalid SASL/PLAIN response: expected 3 tokens, got %d", len(parts))}
	case len(parts[1]) == 0:
		return "", "", "", errNoUser
	case len(parts[1]) > maxNameBytes:
		return "", "", "", fmt.Errorf("user's name is too long: bytes=%d", len(parts[1]))
	case len(parts[2]) == 0:
		return "", "", "", errNoPassword
	}
	return string(parts[0]), string(parts[1]), string(parts[2]), nil
}
