package api

import "github.com/tidelinehq/tideline/broker/wire"

// weight is the memory that a request is admitted with before it is decoded.
func (e *entry) weight(s wire.Shape) int64 {
	return min(s.Memory*decodeFactor+int64(s.Elements)*e.answer, decodeBudget)
}

// weightOf is weight, and what an answer may take that does not follow from the request.
func (a *API) weightOf(e *entry, s wire.Shape) int64 {
	w := e.weight(s)
	if e.whole != nil {
		w = min(w+e.whole(a.Metadata.Image()), decodeBudget)
	}
	return w
}

// Admitted returns the bytes with which the body of a request is admitted before it is
// decoded, so that a test can hold what it costs against that; ok is false for what is
// refused, and for Produce and Fetch, which are parsed where they lie.
func Admitted(key, version int16, body []byte) (weight int64, ok bool) {
	e := lookup(key)
	if e == nil || e.handle == nil || version < e.min || version > e.max {
		return 0, false
	}
	shape, err := wire.CheckRequest(key, version, body)
	if err != nil {
		return 0, false
	}
	return e.weight(shape), true
}
