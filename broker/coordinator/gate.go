package coordinator

// gates keeps decisions about one key from overlapping while records of the key
// are being appended. A key has a gate only then, so a quiet shard has none.
type gates map[string]*gate

// gate is the hold on one key. Fairness is first come, first served: once an
// Exclusive event waits, Share events queue behind it.
type gate struct {
	shared    int  // Share outcomes under way
	exclusive bool // an Exclusive outcome is under way
	waiting   []*entry
}

// admits says whether an event may be decided now, on top of what is under way.
func (g *gate) admits(a Access) bool {
	switch a {
	case Share:
		return !g.exclusive
	case Exclusive:
		return !g.exclusive && g.shared == 0
	default:
		return true
	}
}

// enter says whether the event may be decided now; otherwise it has been queued.
func (gs gates) enter(e *entry) bool {
	if e.ev.Access == Read {
		return true
	}
	g := gs[e.ev.Key]
	if g == nil || len(g.waiting) == 0 && g.admits(e.ev.Access) {
		return true
	}
	g.waiting = append(g.waiting, e)
	return false
}

// hold notes that an outcome of the event is under way.
func (gs gates) hold(ev *Event) {
	g := gs[ev.Key]
	if g == nil {
		g = &gate{}
		gs[ev.Key] = g
	}
	if ev.Access == Share {
		g.shared++
	} else {
		g.exclusive = true
	}
}

// release takes back one hold.
func (gs gates) release(ev *Event) {
	g := gs[ev.Key]
	if ev.Access == Share {
		g.shared--
	} else {
		g.exclusive = false
	}
}

// next takes the first waiting event of the key if it may be decided now. It
// drops the gate when nothing holds it or waits.
func (gs gates) next(key string) *entry {
	g := gs[key]
	if g == nil {
		return nil
	}
	if len(g.waiting) == 0 {
		if g.shared == 0 && !g.exclusive {
			delete(gs, key)
		}
		return nil
	}
	e := g.waiting[0]
	if !g.admits(e.ev.Access) {
		return nil
	}
	g.waiting[0] = nil
	g.waiting = g.waiting[1:]
	return e
}
