package wal

// State returns the newest durable state and the log end that it covers. Where it cannot be read, or none was written,
// the payload is nil and end is the local log start: the owner rebuilds from all that Replay gives.
func (p *Partition) State() (payload []byte, end int64) {
	for range 4 {
		p.mu.Lock()
		at, covers, start := p.anchor, p.covers, p.start
		p.mu.Unlock()
		if at == (place{}) {
			return nil, start
		}
		f := p.log.file(at.sequence)
		if f == nil {
			continue // copied forward since
		}
		state, err := f.readAnchor(at, p)
		f.release()
		if err != nil {
			return nil, start
		}
		if len(state) == 0 {
			return nil, max(start, covers)
		}
		return state, max(start, covers)
	}
	return nil, p.Start()
}

// readAnchor reads the owner's state out of an anchor frame.
func (f *file) readAnchor(at place, p *Partition) ([]byte, error) {
	b := make([]byte, frameHeaderSize+int(at.length))
	if _, err := f.reader.ReadAt(b, int64(at.position)); err != nil {
		return nil, f.damaged(int64(at.position), p.id, -1, -1, "state frame cannot be read", err)
	}
	h, ok := parseFrameHeader(b, f.seed, int64(at.position))
	if !ok || h.ordinal != p.ordinal || h.length != at.length || checksum(b[frameHeaderSize:]) != h.payloadCRC {
		return nil, f.damaged(int64(at.position), p.id, -1, -1, "state frame", nil)
	}
	body, state, ok := parseAnchor(b[frameHeaderSize:])
	if !ok || body.id != p.id {
		return nil, f.damaged(int64(at.position), p.id, -1, -1, "state frame", nil)
	}
	return state, nil
}
