package api

import "github.com/tidelinehq/tideline/broker/security"

// Principal is who the request acts for. A request that another broker hands on was
// judged where it came in, and acts for nobody.
func (c *Call) Principal() *security.Principal {
	if c.raw == nil {
		return security.Anonymous
	}
	return principalOf(c.raw.Conn.Principal())
}

// principalOf is p, or Anonymous where nobody was asked for a name.
func principalOf(p *security.Principal) *security.Principal {
	if p == nil {
		return security.Anonymous
	}
	return p
}
