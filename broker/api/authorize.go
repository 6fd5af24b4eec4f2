package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/broker/server"
)

// Authorization. What a request needs is said by the guard of its key, before the handler
// sees the request: a guard refuses the whole request, or takes out of it what its client
// must not do and puts that, with an error of its own, into the answer. What is to be
// hidden is taken out of the answer. So handlers know nothing of rights, but for those
// that find out only while they run what they would need.
//
// Requests of other brokers were judged where they came in and are not judged again.

// guard judges a request. It returns the answer to one that is refused as a whole.
type guard func(c *Call) kmsg.Response

// access is what a client may do, kept with its connection as long as neither the
// bindings nor its name change.
type access struct {
	authorizer *acl.Authorizer
	principal  *security.Principal
	client     *acl.Client
	// topics are those that the connection's goroutine has asked about, as sets of bits;
	// no other goroutine may.
	topics map[string]topicAccess
}

// topicAccess says what a client may do with a topic, as far as that was asked.
type topicAccess uint8

const (
	mayRead topicAccess = 1 << iota
	mayNotRead
	mayWrite
	mayNotWrite
)

// maxRememberedTopics bounds what is remembered for one connection. Beyond it all is
// forgotten, and asked anew.
const maxRememberedTopics = 1024

// access returns what the client of a request may do; nil: everything.
func (a *API) access(r *server.Request) *access {
	if a.Authorizer == nil {
		return nil
	}
	authorizer, principal := a.Authorizer(), principalOf(r.Conn.Principal())
	if authorizer == nil {
		return nil
	}
	if x, ok := r.Conn.Memo.Load().(*access); ok && x.authorizer == authorizer && x.principal == principal {
		return x
	}
	x := &access{
		authorizer: authorizer, principal: principal, client: authorizer.Client(principal, hostOf(r.Conn.RemoteAddr())),
		topics: make(map[string]topicAccess),
	}
	r.Conn.Memo.Store(x)
	return x
}

// topic reports whether the client may read or write a topic, on the connection's
// goroutine. It allocates nothing for a topic that it remembers.
func (x *access) topic(op acl.Operation, name []byte) bool {
	known, may := x.topics[string(name)], mayRead
	if op == acl.Write {
		may = mayWrite
	}
	if known&(may|may<<1) == 0 {
		known = x.learn(op, string(name), known, may)
	}
	return known&may != 0
}

// topicNamed is topic for a name that is a string.
func (x *access) topicNamed(op acl.Operation, name string) bool {
	known, may := x.topics[name], mayRead
	if op == acl.Write {
		may = mayWrite
	}
	if known&(may|may<<1) == 0 {
		known = x.learn(op, name, known, may)
	}
	return known&may != 0
}

// learn judges, and remembers.
func (x *access) learn(op acl.Operation, name string, known, may topicAccess) topicAccess {
	if len(x.topics) >= maxRememberedTopics {
		clear(x.topics)
	}
	if x.client.Allowed(op, acl.Topic, name) {
		known |= may
	} else {
		known |= may << 1
	}
	x.topics[name] = known
	return known
}

// access returns what the client may do; nil: everything. A request is judged as a whole
// by what held when it was first asked.
func (c *Call) access() *access {
	if c.raw == nil {
		return nil // another broker has judged it
	}
	if !c.judged {
		c.judged, c.mayDo = true, c.API.access(c.raw)
	}
	return c.mayDo
}

// allowed reports whether the client may do op on a resource, and notes it if not.
func (c *Call) allowed(op acl.Operation, kind acl.ResourceType, name string) bool {
	x := c.access()
	if x == nil {
		return true
	}
	ok := x.client.Allowed(op, kind, name)
	c.API.noteAccess(c, op, kind, name, ok)
	return ok
}

// sees is allowed for what is left out of an answer, or for a right that another one can
// stand in for: that it is not there is nothing to be noted.
func (c *Call) sees(op acl.Operation, kind acl.ResourceType, name string) bool {
	x := c.access()
	return x == nil || x.client.Allowed(op, kind, name)
}

// allowedCluster is allowed of the cluster.
func (c *Call) allowedCluster(op acl.Operation) bool {
	return c.allowed(op, acl.Cluster, acl.ClusterName)
}

// authorized reports whether requests are judged at all.
func (c *Call) authorized() bool { return c.access() != nil }

// amend has f complete the answer before it is sent.
func (c *Call) amend(f func(kmsg.Response)) { c.amendments = append(c.amendments, f) }

// guard judges the request.
func (c *Call) guard() kmsg.Response {
	key := c.Request.Key()
	g := guards[key]
	if g == nil || c.access() == nil && !answersOperations[key] {
		return nil
	}
	return g(c)
}

// split divides a list into what is allowed and what is not, in order. What is allowed
// is null only where the list is: to some requests null means everything.
func split[T any](list []T, allowed func(*T) bool) (kept, denied []T) {
	for i := range list {
		if allowed(&list[i]) {
			if denied != nil {
				kept = append(kept, list[i])
			}
			continue
		}
		if denied == nil {
			kept = append(make([]T, 0, len(list)-1), list[:i]...)
		}
		denied = append(denied, list[i])
	}
	if denied == nil {
		return list, nil
	}
	return kept, denied
}

// amendWith is amend of an answer of a certain type, if anything is to be put into it.
func amendWith[R kmsg.Response, T any](c *Call, denied []T, add func(resp R, t *T)) {
	if len(denied) == 0 {
		return
	}
	c.amend(func(resp kmsg.Response) {
		r, ok := resp.(R)
		if !ok {
			return
		}
		for i := range denied {
			add(r, &denied[i])
		}
	})
}

// mapped makes a list of another.
func mapped[T, R any](list []T, to func(*T) R) []R {
	out := make([]R, len(list))
	for i := range list {
		out[i] = to(&list[i])
	}
	return out
}
