package server

// Software is what a client says of the program that it is, in ApiVersions.
type Software struct{ Name, Version string }

// Software is what SetSoftware stored last; empty before.
func (c *Conn) Software() Software {
	if s := c.software.Load(); s != nil {
		return *s
	}
	return Software{}
}

// SetSoftware stores what the client says that it is.
func (c *Conn) SetSoftware(s Software) { c.software.Store(&s) }
