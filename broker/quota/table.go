package quota

import (
	"iter"
	"net/netip"
)

// Name is one part of whom a limit is for: a user, a client id, the default of either, or, as the zero value, not a part of it.
type Name struct {
	set, byDefault bool
	text           string
}

// Named is one user, client id or address.
func Named(text string) Name { return Name{set: true, text: text} }

// Default is all that have no limit of their own.
func Default() Name { return Name{set: true, byDefault: true} }

// Limit is one value that somebody set.
type Limit struct {
	User, Client, IP Name
	Kind             Kind
	Value            float64 // per second; percent for Request
}

// Table is an immutable set of limits.
type Table struct {
	clients [kinds]map[pair]float64
	levels  [kinds]uint8 // which levels have any, by index in levels
	ips     map[netip.Addr]float64
	ip      float64 // default, 0: none
}

type pair struct{ user, client Name }

// NewTable makes a table. Limits that are not above zero, that are on an address which is none, and that are on nobody are left out:
// whoever set them was told so, or runs a later release.
func NewTable(limits iter.Seq[Limit]) *Table {
	t := &Table{ips: make(map[netip.Addr]float64)}
	for l := range limits {
		switch {
		case !(l.Value > 0) || l.Kind >= kinds:
		case l.IP.set:
			t.addIP(l)
		case l.Kind != Connection && (l.User.set || l.Client.set):
			if t.clients[l.Kind] == nil {
				t.clients[l.Kind] = make(map[pair]float64)
			}
			t.clients[l.Kind][pair{l.User, l.Client}] = l.Value
			t.levels[l.Kind] |= 1 << levelOf(l.User, l.Client)
		}
	}
	return t
}

func (t *Table) addIP(l Limit) {
	if l.Kind != Connection {
		return
	}
	if l.IP.byDefault {
		t.ip = l.Value
		return
	}
	if a, err := netip.ParseAddr(l.IP.text); err == nil {
		t.ips[a.Unmap()] = l.Value
	}
}

// levels, the most specific first. Each says which names of a client it looks for, and what the sensor is shared by.
var levels = [8]struct {
	user, client       byte // 'n' the name, 'd' the default, 0 no part of it
	byUser, byClientID bool
}{
	{'n', 'n', true, true},
	{'n', 'd', true, true},
	{'n', 0, true, false},
	{'d', 'n', true, true},
	{'d', 'd', true, true},
	{'d', 0, true, false},
	{0, 'n', false, true},
	{0, 'd', false, true},
}

func levelOf(user, client Name) int {
	kind := func(n Name) byte {
		switch {
		case n.byDefault:
			return 'd'
		case n.set:
			return 'n'
		}
		return 0
	}
	for i := range levels {
		if levels[i].user == kind(user) && levels[i].client == kind(client) {
			return i
		}
	}
	panic("quota: a limit on nobody")
}

// name is what a level looks for.
func name(kind byte, text string) Name {
	switch kind {
	case 'n':
		return Named(text)
	case 'd':
		return Default()
	}
	return Name{}
}

// find returns the limit of a client, and by what it shares it: parts that are empty are shared by all.
func (t *Table) find(k Kind, user, client string) (limit float64, by sensorKey, ok bool) {
	have := t.levels[k]
	for i := range levels {
		if have&(1<<i) == 0 {
			continue
		}
		l := &levels[i]
		limit, ok := t.clients[k][pair{name(l.user, user), name(l.client, client)}]
		if !ok {
			continue
		}
		by := sensorKey{kind: k, byUser: l.byUser, byClientID: l.byClientID}
		if l.byUser {
			by.user = user
		}
		if l.byClientID {
			by.client = client
		}
		return limit, by, true
	}
	return 0, sensorKey{}, false
}

// connection returns the limit of an address.
func (t *Table) connection(a netip.Addr) (limit float64, ok bool) {
	if limit, ok := t.ips[a]; ok {
		return limit, true
	}
	return t.ip, t.ip > 0
}
