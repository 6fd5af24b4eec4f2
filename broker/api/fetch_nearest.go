package api

// nearest returns a follower in the rack of the client that can serve a part, where this
// broker leads it and is in another rack; -1 when there is none (KIP-392). Any replica reads
// history from the object store, so what is on the follower's disk does not matter.
func (op *fetchOp) nearest(part *fetchPart) int32 {
	a, rack := op.api, op.req.Rack
	if len(rack) == 0 || a.Config.ReplicaSelector == "" || string(rack) == a.Config.Rack || !part.p.Leads() {
		return -1
	}
	image := a.Metadata.Image()
	for _, id := range part.p.InSync(part.offset) {
		b, ok := image.Broker(id)
		if !ok || !b.Active() || b.Rack != string(rack) {
			continue
		}
		if _, _, reachable := endpoint(b, op.r.Conn.Listener()); reachable {
			return id
		}
	}
	return -1
}
