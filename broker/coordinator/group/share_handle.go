package group

import (
	"context"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests about share groups. Those that change what the share coordinators have are
// decided in two steps, between which these are asked.

const tooManyShareTasks = "There are too many requests to share coordinators under way."

func (c *Coordinator) shareHeartbeat(caller Caller, req *kmsg.ShareGroupHeartbeatRequest, reply func(kmsg.Response)) {
	if c.shares == nil {
		reply(shareHeartbeatError(req.Version, kerr.UnsupportedVersion.Code, "This broker has no share groups.").resp)
		return
	}
	if text := checkShareHeartbeat(&c.cfg, req); text != "" {
		reply(shareHeartbeatError(req.Version, kerr.InvalidRequest.Code, text).resp)
		return
	}
	h := &shareHeartbeat{req: req, caller: caller}
	h.call = coordinator.NewCall(func(body any) {
		a := body.(*shareHeartbeatAnswer)
		reply(a.resp)
		if a.begin != nil {
			c.beginShares(a.begin)
		}
	})
	c.submit(req.GroupID, coordinator.Exclusive, h, h.call, func(err error) any { return refuseShareHeartbeat(req.Version, err) })
}

// beginShares asks the share coordinators to begin what a group subscribes to. What
// fails is asked for again by a later heartbeat.
func (c *Coordinator) beginShares(b *shareBeginning) {
	c.shares.start(func(ctx context.Context) {
		parts := b.topics.parts()
		errs := c.shares.each(ctx, b.group, parts, func(ctx context.Context, k share.Key, _ int) error {
			return c.shares.states.Initialize(ctx, k, b.epochs[k.Topic], uninitializedStart)
		})
		if err := firstError(errs); err != nil && ctx.Err() == nil {
			c.shares.logger.WarnContext(ctx, "not all share partitions of a group have begun, and will be asked for again", "group", b.group, "error", err)
		}
		begun := shareBegun{group: b.group, epochs: b.epochs}
		for i, p := range parts {
			if errs[i] == nil {
				begun.begun = begun.begun.with(p.id, p.name, []int32{p.partition})
			} else {
				begun.failed = append(begun.failed, p.id)
			}
		}
		c.follow(b.group, begun)
	})
}

// uninitializedStart lets the leader of a partition find out where a share group begins.
const uninitializedStart = -1

// follow has an event decided that nobody waits for.
func (c *Coordinator) follow(group string, b body) {
	c.Runtime.Submit(c.Partition(group), coordinator.Event{Key: group, Access: coordinator.Exclusive, Body: b})
}

func (c *Coordinator) describeShares(req *kmsg.ShareGroupDescribeRequest, reply func(kmsg.Response)) {
	refused := func(id string, code int16) *kmsg.ShareGroupDescribeResponseGroup {
		return describeShareError(id, code, "")
	}
	describeEach(c, req.GroupIDs, refused, func(id string, call *coordinator.Call) body {
		return &describeShare{group: id, call: call}
	}, func(groups []kmsg.ShareGroupDescribeResponseGroup) {
		resp := kmsg.NewPtrShareGroupDescribeResponse()
		resp.Version, resp.Groups = req.Version, groups
		reply(resp)
	})
}

// endShares has the share coordinators forget a share group that is to be deleted, and
// then goes on; of any other group there is nothing to forget. fail is called instead
// when they do not.
func (c *Coordinator) endShares(group string, then func(), fail func(code int16)) {
	if c.shares == nil {
		then()
		return
	}
	e := &shareEnding{group: group}
	e.call = coordinator.NewCall(func(body any) {
		a := body.(shareEnded)
		switch {
		case a.code != 0:
			fail(a.code)
		case len(a.parts) == 0:
			then()
		case !c.shares.start(func(ctx context.Context) {
			if err := firstError(c.deleteStates(ctx, group, a.parts)); err != nil {
				code, _ := shareError(err)
				fail(code)
				return
			}
			then()
		}):
			fail(kerr.CoordinatorNotAvailable.Code)
		}
	})
	c.submit(group, coordinator.Exclusive, e, e.call, func(err error) any { return shareEnded{code: errorCode(err)} })
}

func (c *Coordinator) deleteStates(ctx context.Context, group string, parts []sharePart) []error {
	return c.shares.each(ctx, group, parts, func(ctx context.Context, k share.Key, _ int) error { return c.shares.states.Delete(ctx, k) })
}

// shareRefusal is why a request about the offsets of a share group is refused before anybody
// is asked; 0: it is not.
func (c *Coordinator) shareRefusal(group string) (code int16, text string) {
	switch {
	case c.shares == nil:
		return kerr.UnsupportedVersion.Code, "This broker has no share groups."
	case group == "":
		return kerr.InvalidGroupID.Code, ""
	}
	return 0, ""
}

// lastStep is the call of the event that ends a request in two steps: it is answered with
// a code, or else the request with what has come together by then.
func lastStep(fail func(code int16, text string), done func()) *coordinator.Call {
	return coordinator.NewCall(func(body any) {
		if code := body.(int16); code != 0 {
			fail(code, "")
		} else {
			done()
		}
	})
}

func refuseCode(err error) any { return errorCode(err) }

func (c *Coordinator) alterShareOffsets(req *kmsg.AlterShareGroupOffsetsRequest, reply func(kmsg.Response)) {
	fail := func(code int16, text string) { reply(alterShareError(req.Version, code, text)) }
	if code, text := c.shareRefusal(req.GroupID); code != 0 {
		fail(code, text)
		return
	}
	a := &alterShare{req: req}
	a.topics = resolveEach(req.Topics, func(t *kmsg.AlterShareGroupOffsetsRequestTopic) resolved { return c.byName(t.Topic) })
	a.call = coordinator.NewCall(func(body any) {
		b := body.(*alterShareAnswer)
		if b.resp.ErrorCode != 0 || len(b.parts) == 0 {
			reply(b.resp)
			return
		}
		if !c.shares.start(func(ctx context.Context) {
			errs := c.shares.each(ctx, req.GroupID, b.parts, func(ctx context.Context, k share.Key, i int) error {
				return c.shares.states.Initialize(ctx, k, b.epoch, b.starts[i])
			})
			begun := shareBegun{group: req.GroupID, epochs: map[[16]byte]int32{}, call: lastStep(fail, func() { reply(b.resp) })}
			for i, p := range b.parts {
				begun.epochs[p.id] = b.epoch
				if errs[i] == nil {
					begun.begun = begun.begun.with(p.id, p.name, []int32{p.partition})
				}
				*b.codes[i], *b.texts[i] = shareError(errs[i])
			}
			c.submit(req.GroupID, coordinator.Exclusive, begun, begun.call, refuseCode)
		}) {
			fail(kerr.CoordinatorNotAvailable.Code, tooManyShareTasks)
		}
	})
	c.submit(req.GroupID, coordinator.Exclusive, a, a.call, func(err error) any {
		return &alterShareAnswer{resp: alterShareError(req.Version, errorCode(err), "")}
	})
}

func (c *Coordinator) deleteShareOffsets(req *kmsg.DeleteShareGroupOffsetsRequest, reply func(kmsg.Response)) {
	fail := func(code int16, text string) { reply(deleteShareError(req.Version, code, text)) }
	if code, text := c.shareRefusal(req.GroupID); code != 0 {
		fail(code, text)
		return
	}
	d := &deleteShare{req: req}
	d.topics = resolveEach(req.Topics, func(t *kmsg.DeleteShareGroupOffsetsRequestTopic) resolved { return c.byName(t.Topic) })
	d.call = coordinator.NewCall(func(body any) {
		a := body.(*deleteShareAnswer)
		if a.resp.ErrorCode != 0 || len(a.parts) == 0 {
			reply(a.resp)
			return
		}
		if !c.shares.start(func(ctx context.Context) {
			gone := shareForgotten{group: req.GroupID, call: lastStep(fail, func() { reply(a.resp) })}
			a.settle(c.deleteStates(ctx, req.GroupID, a.parts), &gone)
			c.submit(req.GroupID, coordinator.Exclusive, gone, gone.call, refuseCode)
		}) {
			fail(kerr.CoordinatorNotAvailable.Code, tooManyShareTasks)
		}
	})
	c.submit(req.GroupID, coordinator.Exclusive, d, d.call, func(err error) any {
		return &deleteShareAnswer{resp: deleteShareError(req.Version, errorCode(err), "")}
	})
}

func (c *Coordinator) describeShareOffsets(req *kmsg.DescribeShareGroupOffsetsRequest, reply func(kmsg.Response)) {
	g := coordinator.NewGather(len(req.Groups), func(parts []*kmsg.DescribeShareGroupOffsetsResponseGroup) {
		resp := kmsg.NewPtrDescribeShareGroupOffsetsResponse()
		resp.Version, resp.Groups = req.Version, coordinator.Values(parts)
		reply(resp)
	})
	for i := range req.Groups {
		c.describeShareOffsetsOf(&req.Groups[i], func(p *kmsg.DescribeShareGroupOffsetsResponseGroup) { g.Put(i, p) })
	}
}
