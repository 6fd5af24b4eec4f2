package broker

import (
	"sync"
	"sync/atomic"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata"
)

// bindings keeps the index of the bindings that the newest image has. It is made anew by
// the first request after they have changed.
type bindings struct {
	image   func() *metadata.Image
	options acl.Options

	current atomic.Pointer[indexed]
	mu      sync.Mutex // held while an index is made, so that one is
}

// indexed is an index, and of which bindings it is.
type indexed struct {
	generation uint64
	authorizer *acl.Authorizer
}

// authorizer returns what judges requests; nil: nothing does.
func (b *Broker) authorizer() func() *acl.Authorizer {
	if b.cfg.AuthorizerClass == "" {
		return nil
	}
	x := &bindings{
		image:   b.meta.Image,
		options: acl.Options{SuperUsers: config.Principals(b.cfg.SuperUsers), AllowIfNone: b.cfg.AllowIfNoACLFound},
	}
	return x.authorizer
}

func (x *bindings) authorizer() *acl.Authorizer {
	if now := x.current.Load(); now != nil && now.generation >= x.image().SecurityGeneration() {
		return now.authorizer
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	image := x.image()
	if now := x.current.Load(); now != nil && now.generation >= image.SecurityGeneration() {
		return now.authorizer
	}
	made := &indexed{
		generation: image.SecurityGeneration(),
		authorizer: acl.New(x.options, acl.Bindings{ACLs: image.ACLs(), Roles: image.Roles(), Grants: image.Grants()}),
	}
	x.current.Store(made)
	return made.authorizer
}
