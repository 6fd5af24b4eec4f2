package controller

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// shape is replicas, what is added and removed, and the rest of the state.
func (c *cluster) shape(id metadata.ID) string {
	x, _ := c.Partition(id, 0)
	return fmt.Sprintf("%v +%v -%v %s", x.Replicas, x.Adding, x.Removing, c.state(id))
}

// wish asks for replicas and applies what is decided.
func (c *cluster) wish(p Policy, id metadata.ID, replicas ...int32) error {
	c.t.Helper()
	a := p.Reassign(c.Image, []Reassignment{{id, 0, replicas}}, DefaultLimits)[0]
	if a.Err == nil && a.Needed {
		c.change([]record.PartitionChange{a.Change})
	}
	return a.Err
}

// The steps of a reassignment, its end, its replacement and its calling off.
func TestReassignment(t *testing.T) {
	p := Policy{MinISR: 2}
	c, id := one(t)
	expect := func(what, want string) {
		t.Helper()
		if got := c.shape(id); got != want {
			t.Fatalf("%s: %s, want %s", what, got, want)
		}
	}
	isr := func(ids ...int32) {
		t.Helper()
		x, _ := c.Partition(id, 0)
		leader, _ := c.Broker(x.Leader)
		ask := &AlterISR{Topic: id, Broker: x.Leader, BrokerEpoch: leader.Epoch, LeaderEpoch: x.LeaderEpoch, PartitionEpoch: x.PartitionEpoch}
		for _, b := range ids {
			m, _ := c.Broker(b)
			ask.ISR = append(ask.ISR, ISRMember{b, m.Epoch})
		}
		change, err := p.AlterISR(c.Image, ask)
		if err != nil {
			t.Fatal(err)
		}
		c.change([]record.PartitionChange{change})
	}
	do := func(want error, replicas ...int32) {
		t.Helper()
		if err := c.wish(p, id, replicas...); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Fatal(err)
		}
	}
	do(ErrNoReassignment) // nothing to call off
	do(ErrInvalidAssignment, 0, 0)
	do(ErrInvalidAssignment, 0, 77)
	do(nil, 0, 1, 2)
	expect("as it is", "[0 1 2] +[] -[] leader=0 isr=[0 1 2] elr=[] last=[]")

	do(nil, 0, 1, 3)
	expect("begun", "[0 1 3 2] +[3] -[2] leader=0 isr=[0 1 2] elr=[] last=[]")
	if l := Reassignments(c.Image, 10); len(l) != 1 || l[0].Topic.Name != "one" || l[0].Partition.Index != 0 || len(Reassignments(c.Image, 0)) != 0 {
		t.Fatal(l)
	}
	before, _ := c.Partition(id, 0)
	isr(0, 1, 2, 3)
	expect("in sync", "[0 1 3] +[] -[] leader=0 isr=[0 1 3] elr=[] last=[]")
	if after, _ := c.Partition(id, 0); after.LeaderEpoch != before.LeaderEpoch+1 {
		t.Fatal("acknowledgements of the dropped replica are not void")
	}

	do(nil, 3, 4)
	expect("the leader is to go", "[3 4 0 1] +[4] -[0 1] leader=0 isr=[0 1 3] elr=[] last=[]")
	isr(0, 1, 3, 4)
	expect("first its successors are in the isr", "[3 4 0 1] +[4] -[0 1] leader=0 isr=[0 1 3 4] elr=[] last=[]")
	c.change(p.Settle(c.Image, 10))
	expect("then it goes", "[3 4] +[] -[] leader=3 isr=[3 4] elr=[] last=[]")

	do(nil, 0, 1)
	expect("begun", "[0 1 3 4] +[0 1] -[3 4] leader=3 isr=[3 4] elr=[] last=[]")
	do(nil)
	expect("called off", "[3 4] +[] -[] leader=3 isr=[3 4] elr=[] last=[]")

	do(nil, 3, 0)
	do(nil, 3, 1)
	expect("another wish", "[3 1 4] +[1] -[4] leader=3 isr=[3 4] elr=[] last=[]")
	isr(3, 4, 1)
	expect("in sync", "[3 1] +[] -[] leader=3 isr=[3 1] elr=[] last=[]")

	do(nil, 1)
	expect("fewer", "[1] +[] -[] leader=1 isr=[1] elr=[] last=[]")
	do(nil, 1, 2, 3)
	c.fence(p, 2)
	isr(1, 3)
	expect("one of the new is not there", "[1 2 3] +[2 3] -[] leader=1 isr=[1 3] elr=[] last=[]")
	c.restart(p, false, 2)
	isr(1, 2, 3)
	expect("more", "[1 2 3] +[] -[] leader=1 isr=[1 2 3] elr=[] last=[]")

	do(nil, 0, 4)
	isr(1, 0, 4)
	expect("the old ones fell behind", "[0 4 1 2 3] +[0 4] -[1 2 3] leader=1 isr=[1 0 4] elr=[] last=[]")
	do(ErrInvalidAssignment)       // the old ones lack what the new have acknowledged
	do(ErrInvalidAssignment, 2, 3) // these too
	c.fence(p, 1)
	expect("the old leader dies", "[0 4] +[] -[] leader=0 isr=[0 4] elr=[] last=[]")

	a := p.Reassign(c.Image, []Reassignment{{id, 0, []int32{1, 2}}}, Limits{MaxReplicas: 100})[0]
	if !errors.Is(a.Err, ErrTooManyReassignments) {
		t.Fatal(a.Err)
	}
	a = p.Reassign(c.Image, []Reassignment{{id, 0, []int32{1, 2}}}, Limits{MaxReplicas: 3, MaxReassignments: 5})[0]
	if !errors.Is(a.Err, ErrTooManyReassignments) {
		t.Fatal(a.Err)
	}
	a = p.Reassign(c.Image, []Reassignment{{id, 9, []int32{1}}}, DefaultLimits)[0]
	if !errors.Is(a.Err, ErrUnknownPartition) {
		t.Fatal(a.Err)
	}
}
