package metadata

import (
	"bytes"
	"slices"

	"github.com/tidelinehq/tideline/metadata/record"
)

// release takes references of an object away.
type release struct {
	object ID
	kind   record.UploadKind
	refs   int64
	bytes  int64 // of the references, in case that the object's size is not known
}

// addRefs counts new references of an object whose intent is open.
func (e *edit) addRefs(object ID, refs, bytes int64) {
	i, _ := e.intents.Get(key(object))
	next := *i
	next.Refs += refs
	next.Bytes = bytes
	e.intents.Set(key(object), &next)
}

// closeIntent ends an upload. What was accepted of it lives on under the
// object's own count; if that is nothing, the object is garbage.
func (e *edit) closeIntent(i *Intent, due int64) {
	e.intents.Delete(key(i.Object))
	if n, _ := e.brokerUpload.Get(i.Broker); n > 1 {
		e.brokerUpload.Set(i.Broker, n-1)
	} else {
		e.brokerUpload.Delete(i.Broker)
	}
	switch {
	case i.Refs == 0:
		e.discard(i.Object, i.Kind, i.Bytes, due)
	case i.Refs > 1:
		e.objects.Set(key(i.Object), &Object{ID: i.Object, Bytes: i.Bytes, Refs: i.Refs})
	}
}

// refs returns how many references an object can lose: those of its intent or
// its entry, none when it is garbage, and one when nothing is known of it.
func (e *edit) refs(object ID) int64 {
	k := key(object)
	if i, ok := e.intents.Get(k); ok {
		return i.Refs
	}
	if o, ok := e.objects.Get(k); ok {
		return o.Refs
	}
	if _, ok := e.garbageDue.Get(k); ok {
		return 0
	}
	return 1
}

// sum merges the releases of each object, in object order, and reports whether
// all of them can be had. It changes nothing but the list.
func (e *edit) sum(list []release) ([]release, bool) {
	slices.SortStableFunc(list, func(a, b release) int { return bytes.Compare(a.object[:], b.object[:]) })
	out := list[:0]
	for _, r := range list {
		if r.refs <= 0 || r.bytes < 0 {
			return nil, false
		}
		if n := len(out); n > 0 && out[n-1].object == r.object {
			out[n-1].refs += r.refs
			out[n-1].bytes += r.bytes
		} else {
			out = append(out, r)
		}
	}
	for _, r := range out {
		if r.object == (ID{}) || r.refs <= 0 || r.bytes < 0 || e.refs(r.object) < r.refs {
			return nil, false
		}
	}
	return out, true
}

// release takes away references that sum found to be there. An object whose
// last one goes enters the garbage queue, unless its upload is still open.
func (e *edit) release(list []release, due int64) {
	for _, r := range list {
		k := key(r.object)
		if i, ok := e.intents.Get(k); ok {
			next := *i
			next.Refs -= r.refs
			e.intents.Set(k, &next)
			continue
		}
		o, ok := e.objects.Get(k)
		if !ok {
			e.discard(r.object, r.kind, r.bytes, due)
			continue
		}
		switch left := o.Refs - r.refs; left {
		case 0:
			e.objects.Delete(k)
			e.discard(r.object, r.kind, o.Bytes, due)
		case 1:
			e.objects.Delete(k)
		default:
			e.objects.Set(k, &Object{ID: o.ID, Bytes: o.Bytes, Refs: left})
		}
	}
}

func releasePages(list []release, pages []PageRef) []release {
	for _, p := range pages {
		list = append(list, release{object: p.Object, kind: record.KindPages, refs: 1, bytes: int64(p.Size)})
	}
	return list
}

func releaseSegments(list []release, segments []Segment) []release {
	for i := range segments {
		list = append(list, release{object: segments[i].Object, kind: record.KindData, refs: 1, bytes: segments[i].Size})
	}
	return list
}

func (e *edit) collectGarbage(c *record.CollectGarbage) record.Reason {
	reason := record.Already
	for _, object := range c.Objects {
		k := key(object)
		due, ok := e.garbageDue.Get(k)
		if !ok {
			continue
		}
		e.garbageDue.Delete(k)
		e.garbage.Delete(garbageKey(due, object))
		e.delta.garbage = true
		reason = record.OK
	}
	return reason
}
