package group

import (
	"errors"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeNotFound is the first version of DescribeGroups in which a group that
// is not there is an error.
const describeNotFound = 6

// describeGroup reads one group of a DescribeGroups request. It is answered with
// a *kmsg.DescribeGroupsResponseGroup.
type describeGroup struct {
	group   string
	version int16
	call    *coordinator.Call
}

func describeError(group string, code int16) *kmsg.DescribeGroupsResponseGroup {
	r := kmsg.NewDescribeGroupsResponseGroup()
	r.Group, r.ErrorCode = group, code
	return &r
}

func (q *describeGroup) decide(m *machine, _ time.Time) coordinator.Outcome {
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: q.call, Body: q.describe(m.groups[q.group])}}}
}

func (q *describeGroup) describe(g *group) *kmsg.DescribeGroupsResponseGroup {
	r := describeError(q.group, 0)
	if g == nil || g.modern != nil {
		r.State = dead
		if q.version >= describeNotFound {
			text := "Group " + q.group + " not found."
			if g != nil {
				text = "Group " + q.group + " is not a classic group."
			}
			r.ErrorCode, r.ErrorMessage = kerr.GroupIDNotFound.Code, &text
		}
		return r
	}
	r.State, r.ProtocolType = g.state.String(), g.protocolType
	stable := g.state == Stable
	if stable {
		r.Protocol = g.protocol
	}
	for _, mb := range g.members {
		m := kmsg.NewDescribeGroupsResponseGroupMember()
		m.MemberID, m.InstanceID, m.ClientID, m.ClientHost = mb.id, mb.instance, mb.clientID, mb.clientHost
		m.ProtocolMetadata, m.MemberAssignment = []byte{}, []byte{}
		if stable { // what members bring and get is in flux otherwise
			m.ProtocolMetadata, m.MemberAssignment = mb.metadata(g.protocol), mb.assignment
		}
		r.Members = append(r.Members, m)
	}
	return r
}

// listGroups reads the groups of one partition. It is answered with a listed.
type listGroups struct {
	states, types []string
	call          *coordinator.Call
}

type listed struct {
	groups []kmsg.ListGroupsResponseGroup
	code   int16
}

func refuseList(err error) any {
	if errors.Is(err, coordinator.ErrNotCoordinator) {
		return listed{} // whoever leads the partition now lists its groups
	}
	return listed{code: errorCode(err)}
}

func (l *listGroups) decide(m *machine, _ time.Time) coordinator.Outcome {
	var out listed
	for _, id := range m.ids() {
		g := m.groups[id]
		if !matchesFilter(l.states, g.stateName()) || !matchesFilter(l.types, g.kind().String()) {
			continue
		}
		r := kmsg.NewListGroupsResponseGroup()
		r.Group, r.ProtocolType, r.GroupState, r.GroupType = id, g.protocolTypeName(), g.stateName(), g.kind().String()
		out.groups = append(out.groups, r)
	}
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: l.call, Body: out}}}
}
