package group

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// emptyShareGroup starts a decision about a share group that must have no members.
func (m *machine) emptyShareGroup(id string, make bool, now time.Time) (*shareTurn, *refusal) {
	t, err := m.shareGroupFor(id, make, now)
	if err == nil && len(t.g.members) > 0 {
		err = refused(kerr.NonEmptyGroup, "Group %s is not empty.", id)
	}
	return t, err
}

// alterShare is an AlterShareGroupOffsets request: the share partitions begin anew, each
// where the request says, under a new epoch that fences who knew them before. It is
// answered with an *alterShareAnswer.
type alterShare struct {
	req    *kmsg.AlterShareGroupOffsetsRequest
	topics []resolved
	call   *coordinator.Call
}

// alterShareAnswer is the response, in which codes and texts belong to parts, which are to
// begin at starts.
type alterShareAnswer struct {
	resp   *kmsg.AlterShareGroupOffsetsResponse
	epoch  int32
	parts  []sharePart
	starts []int64
	codes  []*int16
	texts  []**string
}

func alterShareError(version int16, code int16, text string) *kmsg.AlterShareGroupOffsetsResponse {
	r := kmsg.NewPtrAlterShareGroupOffsetsResponse()
	r.Version, r.ErrorCode, r.ErrorMessage = version, code, errorText(text)
	return r
}

func (a *alterShare) decide(m *machine, now time.Time) coordinator.Outcome {
	t, err := m.emptyShareGroup(a.req.GroupID, true, now)
	if err != nil {
		return refuse(a.call, &alterShareAnswer{resp: alterShareError(a.req.Version, err.code, err.text)})
	}
	out := &alterShareAnswer{resp: alterShareError(a.req.Version, 0, "")}
	out.resp.Topics = make([]kmsg.AlterShareGroupOffsetsResponseTopic, len(a.req.Topics))
	p := t.g.parts
	for i, rt := range a.req.Topics {
		topic := &out.resp.Topics[i]
		topic.Topic, topic.TopicID = rt.Topic, a.topics[i].id
		topic.Partitions = make([]kmsg.AlterShareGroupOffsetsResponseTopicPartition, len(rt.Partitions))
		for j, rp := range rt.Partitions {
			at := &topic.Partitions[j]
			at.Partition = rp.Partition
			switch {
			case a.topics[i].code != 0 || rp.Partition < 0 || rp.Partition >= a.topics[i].partitions:
				at.ErrorCode, at.ErrorMessage = kerr.UnknownTopicOrPartition.Code, nonEmpty(kerr.UnknownTopicOrPartition.Description)
				continue
			case rp.StartOffset < uninitializedStart:
				at.ErrorCode, at.ErrorMessage = kerr.InvalidRequest.Code, nonEmpty("The start offset is invalid.")
				continue
			}
			out.parts = append(out.parts, sharePart{topic.TopicID, rt.Topic, rp.Partition})
			out.starts = append(out.starts, rp.StartOffset)
			out.codes, out.texts = append(out.codes, &at.ErrorCode), append(out.texts, &at.ErrorMessage)
			if !p.initialized.has(topic.TopicID, rp.Partition) {
				p.initializing = p.initializing.with(topic.TopicID, rt.Topic, []int32{rp.Partition})
			}
		}
	}
	if len(out.parts) == 0 {
		return refuse(a.call, out)
	}
	t.changed = true
	t.assign()
	out.epoch = t.g.epoch
	p.asked = maps.Clone(p.asked)
	if p.asked == nil {
		p.asked = map[[16]byte]shareAsk{}
	}
	for _, at := range out.parts {
		p.asked[at.id] = shareAsk{at: now, epoch: out.epoch}
	}
	t.setParts(p)
	t.reply(a.call, out)
	return t.outcome()
}

// deleteShare is a DeleteShareGroupOffsets request. It is answered with a
// *deleteShareAnswer.
type deleteShare struct {
	req    *kmsg.DeleteShareGroupOffsetsRequest
	topics []resolved
	call   *coordinator.Call
}

type deleteShareAnswer struct {
	resp  *kmsg.DeleteShareGroupOffsetsResponse
	parts []sharePart
}

func deleteShareError(version int16, code int16, text string) *kmsg.DeleteShareGroupOffsetsResponse {
	r := kmsg.NewPtrDeleteShareGroupOffsetsResponse()
	r.Version, r.ErrorCode, r.ErrorMessage = version, code, errorText(text)
	return r
}

func (d *deleteShare) decide(m *machine, now time.Time) coordinator.Outcome {
	t, err := m.emptyShareGroup(d.req.GroupID, false, now)
	if err != nil {
		return refuse(d.call, &deleteShareAnswer{resp: deleteShareError(d.req.Version, err.code, err.text)})
	}
	out := &deleteShareAnswer{resp: deleteShareError(d.req.Version, 0, "")}
	p := t.g.parts
	for i, rt := range d.req.Topics {
		topic := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		topic.Topic, topic.TopicID = rt.Topic, d.topics[i].id
		parts := p.all(topic.TopicID, t.image)
		switch {
		case d.topics[i].code != 0:
			topic.ErrorCode, topic.ErrorMessage = kerr.UnknownTopicOrPartition.Code, nonEmpty(kerr.UnknownTopicOrPartition.Description)
		case len(parts) == 0:
			topic.ErrorCode, topic.ErrorMessage = kerr.UnknownTopicOrPartition.Code, nonEmpty("There is no offset information to delete.")
		default:
			out.parts = append(out.parts, parts...)
			p = p.giveUp(topic.TopicID, rt.Topic)
		}
		out.resp.Topics = append(out.resp.Topics, topic)
	}
	if len(out.parts) == 0 {
		return refuse(d.call, out)
	}
	t.setParts(p)
	t.reply(d.call, out)
	return t.outcome()
}

// settle fills in what came of the deletion; topics of which all went are forgotten.
func (a *deleteShareAnswer) settle(errs []error, gone *shareForgotten) {
	for i := range a.resp.Topics {
		topic := &a.resp.Topics[i]
		if topic.ErrorCode != 0 {
			continue
		}
		var of []error
		for j, p := range a.parts {
			if p.id == topic.TopicID {
				of = append(of, errs[j])
			}
		}
		if err := firstError(of); err != nil {
			topic.ErrorCode, topic.ErrorMessage = shareError(err)
		} else {
			gone.topics = append(gone.topics, topic.TopicID)
		}
	}
}

// all are the partitions of a topic that may have a state.
func (p *shareParts) all(id [16]byte, image Image) []sharePart {
	topics := shareTopics{}
	for _, of := range []shareTopics{p.initializing, p.initialized} {
		topics = topics.with(id, of[id].name, of[id].partitions)
	}
	if name, ok := p.deleting[id]; ok { // which of them is not known any more
		if _, n, ok := image.Lookup(name); ok {
			for i := range n {
				topics = topics.with(id, name, []int32{i})
			}
		}
	}
	return topics.parts()
}

// giveUp is the parts with a topic on its way out.
func (p shareParts) giveUp(id [16]byte, name string) shareParts {
	p.initializing, p.initialized = p.initializing.without(id, nil), p.initialized.without(id, nil)
	deleting := map[[16]byte]string{id: name}
	for id, name := range p.deleting {
		deleting[id] = name
	}
	p.deleting = deleting
	return p
}

// forgetTopic is the parts without a topic.
func (p shareParts) forgetTopic(id [16]byte) shareParts {
	p.initializing, p.initialized = p.initializing.without(id, nil), p.initialized.without(id, nil)
	deleting := map[[16]byte]string{}
	for other, name := range p.deleting {
		if other != id {
			deleting[other] = name
		}
	}
	p.deleting = deleting
	asked := maps.Clone(p.asked)
	delete(asked, id)
	p.asked = asked
	return p
}

// shareForgotten: the share coordinators have nothing of these topics any more. A
// call is answered with an error code.
type shareForgotten struct {
	group  string
	topics [][16]byte
	call   *coordinator.Call // nil: nobody waits
}

func (f shareForgotten) decide(m *machine, now time.Time) coordinator.Outcome {
	t, err := m.shareGroupFor(f.group, false, now)
	if err != nil {
		if f.call == nil {
			return coordinator.Outcome{}
		}
		return refuse(f.call, int16(0)) // the group is gone, too
	}
	p := t.g.parts
	for _, id := range f.topics {
		p = p.forgetTopic(id)
	}
	if len(f.topics) > 0 {
		t.setParts(p)
	}
	if f.call != nil {
		t.reply(f.call, int16(0))
	}
	return t.outcome()
}

// shareEnding is the first step of the deletion of a group: all that a share group has at
// the share coordinators is on its way out. It is answered with a shareEnded.
type shareEnding struct {
	group string
	call  *coordinator.Call
}

// shareEnded are the share partitions that may have a state.
type shareEnded struct {
	code  int16
	parts []sharePart
}

func (e *shareEnding) decide(m *machine, now time.Time) coordinator.Outcome {
	t, err := m.emptyShareGroup(e.group, false, now)
	if err != nil || t.g.parts.empty() {
		return refuse(e.call, shareEnded{}) // the deletion will say what is wrong
	}
	p := t.g.parts
	var out shareEnded
	ids := append(p.initializing.ids(), p.initialized.ids()...)
	for id := range p.deleting {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(ids) {
		name, ok := t.image.Name(id)
		if !ok {
			p = p.forgetTopic(id) // and its share partitions with it
			continue
		}
		out.parts = append(out.parts, t.g.parts.all(id, t.image)...)
		p = p.giveUp(id, name)
	}
	t.setParts(p)
	t.reply(e.call, out)
	return t.outcome()
}

// hasShareTopic says whether a share group knows anything of a topic.
func (g *group) hasShareTopic(id [16]byte) bool {
	s, ok := g.modern.(*shareGroup)
	if !ok {
		return false
	}
	_, going := s.parts.deleting[id]
	return going || len(s.parts.initializing[id].partitions)+len(s.parts.initialized[id].partitions) > 0
}

// shareOffsets reads which share partitions of a group have begun. It is answered
// with a shareOffsetsAnswer.
type shareOffsets struct {
	group string
	call  *coordinator.Call
}

type shareOffsetsAnswer struct {
	err    *refusal
	topics shareTopics
}

func (o *shareOffsets) decide(m *machine, now time.Time) coordinator.Outcome {
	t, err := m.shareGroupFor(o.group, false, now)
	if err != nil {
		return refuse(o.call, shareOffsetsAnswer{err: err})
	}
	return refuse(o.call, shareOffsetsAnswer{topics: t.g.parts.initialized})
}

func describeShareOffsetsError(group string, code int16, text string) *kmsg.DescribeShareGroupOffsetsResponseGroup {
	r := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
	r.GroupID, r.ErrorCode, r.ErrorMessage = group, code, errorText(text)
	return &r
}

// describeShareOffsetsOf answers for one group of a DescribeShareGroupOffsets request.
func (c *Coordinator) describeShareOffsetsOf(g *kmsg.DescribeShareGroupOffsetsRequestGroup, done func(*kmsg.DescribeShareGroupOffsetsResponseGroup)) {
	if code, text := c.shareRefusal(g.GroupID); code != 0 {
		done(describeShareOffsetsError(g.GroupID, code, text))
		return
	}
	if g.Topics != nil {
		r := describeShareOffsetsError(g.GroupID, 0, "")
		var parts []sharePart
		for _, t := range g.Topics {
			topic := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
			is := c.byName(t.Topic)
			topic.Topic, topic.TopicID = t.Topic, is.id
			for _, p := range t.Partitions {
				at := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
				at.Partition, at.StartOffset = p, uninitializedStart
				if is.code != 0 {
					at.ErrorCode, at.ErrorMessage = kerr.UnknownTopicOrPartition.Code, nonEmpty(kerr.UnknownTopicOrPartition.Description)
				} else {
					parts = append(parts, sharePart{is.id, t.Topic, p})
				}
				topic.Partitions = append(topic.Partitions, at)
			}
			r.Topics = append(r.Topics, topic)
		}
		c.fillShareOffsets(r, parts, done)
		return
	}
	o := &shareOffsets{group: g.GroupID}
	o.call = coordinator.NewCall(func(body any) {
		a := body.(shareOffsetsAnswer)
		if a.err != nil {
			done(describeShareOffsetsError(g.GroupID, a.err.code, a.err.text))
			return
		}
		r := describeShareOffsetsError(g.GroupID, 0, "")
		for _, id := range a.topics.ids() {
			topic := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
			topic.Topic, topic.TopicID = a.topics[id].name, id
			for _, p := range a.topics[id].partitions {
				at := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
				at.Partition, at.StartOffset = p, uninitializedStart
				topic.Partitions = append(topic.Partitions, at)
			}
			r.Topics = append(r.Topics, topic)
		}
		c.fillShareOffsets(r, a.topics.parts(), done)
	})
	c.submit(g.GroupID, coordinator.Read, o, o.call, func(err error) any {
		return shareOffsetsAnswer{err: &refusal{code: errorCode(err)}}
	})
}

// fillShareOffsets asks the share coordinators about the partitions of an answer that have
// no error yet, which are parts, in the same order.
func (c *Coordinator) fillShareOffsets(r *kmsg.DescribeShareGroupOffsetsResponseGroup, parts []sharePart, done func(*kmsg.DescribeShareGroupOffsetsResponseGroup)) {
	if len(parts) == 0 {
		done(r)
		return
	}
	var at []*kmsg.DescribeShareGroupOffsetsResponseGroupTopicPartition
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			if p := &r.Topics[i].Partitions[j]; p.ErrorCode == 0 {
				at = append(at, p)
			}
		}
	}
	if !c.shares.start(func(ctx context.Context) {
		errs := c.shares.each(ctx, r.GroupID, parts, func(ctx context.Context, k share.Key, i int) error {
			s, err := c.shares.states.Summary(ctx, k)
			if err != nil {
				return err
			}
			at[i].StartOffset, at[i].LeaderEpoch = s.Start, s.LeaderEpoch
			if c.shares.ends == nil || s.Start < 0 || s.DeliveryCompleteCount < 0 {
				return nil
			}
			if end, err := c.shares.ends(ctx, parts[i].name, k.Partition); err == nil {
				at[i].Lag = max(end-s.Start-int64(s.DeliveryCompleteCount), 0)
			}
			return nil
		})
		for i, err := range errs {
			at[i].ErrorCode, at[i].ErrorMessage = shareError(err)
		}
		done(r)
	}) {
		done(describeShareOffsetsError(r.GroupID, kerr.CoordinatorNotAvailable.Code, tooManyShareTasks))
	}
}
