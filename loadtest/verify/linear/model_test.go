package linear

import (
	"testing"
)

// op is an operation from one instant to another.
func op(call, end int64, kind Kind, outcome Outcome, change ...func(*Op)) Op {
	o := Op{Topic: "t", Kind: kind, Call: call, Return: end, Outcome: outcome, Broker: 1}
	for _, c := range change {
		c(&o)
	}
	return o
}

func partitions(n int32) func(*Op) { return func(o *Op) { o.Partitions = n } }
func value(n int64) func(*Op)      { return func(o *Op) { o.Value = n } }
func broker(n int32) func(*Op)     { return func(o *Op) { o.Broker = n } }

func TestHistories(t *testing.T) {
	created := op(1, 2, Create, OK, partitions(3), value(17))
	for _, test := range []struct {
		name    string
		history []Op
		legal   bool
	}{
		{"one after the other", []Op{created, op(3, 4, Create, Exists), op(5, 6, AddPartitions, OK, partitions(6)), op(7, 8, AddPartitions, Refused, partitions(5)),
			op(9, 10, SetConfig, OK, value(18)), op(11, 12, Metadata, OK, partitions(6)), op(13, 14, Describe, OK, value(18)), op(15, 16, Delete, OK),
			op(17, 18, Delete, Missing), op(19, 20, Metadata, Missing), op(21, 22, SetConfig, Missing, value(19))}, true},
		{"created twice", []Op{created, op(3, 4, Create, OK, partitions(3), value(18))}, false},
		{"created twice at once", []Op{created, op(1, 2, Create, OK, partitions(3), value(18))}, false},
		{"created twice, deleted between", []Op{created, op(3, 4, Create, OK, partitions(3), value(18)), op(1, 6, Delete, OK)}, true},
		{"exists before anybody made it", []Op{op(0, 0, Create, Exists), created}, false},
		{"exists while somebody makes it", []Op{op(1, 2, Create, Exists), created}, true},
		{"deleted, and there for a later write", []Op{created, op(3, 4, Delete, OK), op(5, 6, SetConfig, OK, value(18))}, false},
		{"missing although it was made", []Op{created, op(3, 4, Delete, Missing)}, false},
		{"fewer partitions refused wrongly", []Op{created, op(3, 4, AddPartitions, Refused, partitions(4))}, false},
		{"fewer partitions than it has", []Op{created, op(3, 4, AddPartitions, OK, partitions(3))}, false},

		{"a stale read", []Op{created, op(3, 4, SetConfig, OK, value(18)), op(5, 6, Describe, OK, value(17))}, true},
		{"a very stale read", []Op{created, op(3, 4, Metadata, Missing)}, true},
		{"a read of the future", []Op{op(0, 0, Describe, OK, value(17)), created}, false},
		{"a read of what is being written", []Op{created, op(3, 9, SetConfig, OK, value(18)), op(4, 5, Describe, OK, value(18))}, true},
		{"a read of what never was", []Op{created, op(3, 4, Describe, OK, value(99))}, false},
		{"a broker goes back", []Op{created, op(3, 4, SetConfig, OK, value(18)), op(5, 6, Describe, OK, value(18)), op(7, 8, Describe, OK, value(17))}, false},
		{"missing may mean not yet", []Op{created, op(3, 4, Delete, OK), op(5, 6, Describe, Missing, value(0)), op(7, 8, Metadata, OK, partitions(3))}, true},
		{"a broker goes back over a deletion", []Op{created, op(3, 4, Describe, OK, value(17)), op(5, 6, Delete, OK), op(7, 8, Metadata, Missing), op(9, 10, Metadata, OK, partitions(3))}, false},
		{"another broker is behind", []Op{created, op(3, 4, SetConfig, OK, value(18)), op(5, 6, Describe, OK, value(18)), op(7, 8, Describe, OK, value(17), broker(2))}, true},
		{"two reads of a broker at once, in either order", []Op{created, op(3, 4, SetConfig, OK, value(18)), op(5, 9, Describe, OK, value(18)), op(6, 8, Describe, OK, value(17))}, true},

		{"an open write that took effect", []Op{op(1, 99, Create, Unknown, partitions(3), value(17)), op(3, 4, Describe, OK, value(17))}, true},
		{"an open write that took effect late", []Op{op(1, 2, Create, Unknown, partitions(3), value(17)), op(3, 4, Delete, Missing), op(5, 6, Delete, OK)}, true},
		{"an open write that never did", []Op{op(1, 99, Create, Unknown, partitions(3), value(17)), op(3, 4, Delete, Missing), op(5, 6, Create, OK, partitions(1), value(18))}, true},
		{"an open write that did twice", []Op{op(1, 99, Create, Unknown, partitions(3), value(17)), op(3, 4, Delete, OK), op(5, 6, Delete, OK)}, false},
		{"an open read", []Op{created, op(3, 4, Metadata, Unknown, partitions(9))}, true},
	} {
		r, err := Check(test.history, CheckOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !test.legal && (len(r.Explained) != 1 || r.Explained[0].Answer == "") {
			t.Errorf("%s: explained=%v", test.name, r.Explained)
		}
		if r.OK() != test.legal || len(r.Undecided) > 0 || !test.legal && len(r.Pages) != 1 {
			t.Errorf("%s: ok=%v want=%v undecided=%v pages=%d", test.name, r.OK(), test.legal, r.Undecided, len(r.Pages))
		}
	}
}

func TestTopicsAreApart(t *testing.T) {
	bad := op(3, 4, Delete, OK)
	bad.Topic = "u"
	r, err := Check([]Op{op(1, 2, Create, OK, partitions(1), value(1)), bad}, CheckOptions{})
	if err != nil || r.Topics != 2 || len(r.Illegal) != 1 || r.Illegal[0] != "u" || r.Outcomes["delete ok"] != 1 {
		t.Errorf("%+v err=%v", r, err)
	}
}

func TestStaleRefusals(t *testing.T) {
	history := []Op{op(1, 2, Create, OK, partitions(3), value(17)), op(3, 4, Delete, Missing), op(5, 6, SetConfig, Missing, broker(2)), op(7, 8, Create, Exists)}
	for _, stale := range []bool{false, true} {
		if r, err := Check(history, CheckOptions{StaleRefusals: stale}); err != nil || r.OK() != stale {
			t.Errorf("stale=%v: ok=%v err=%v", stale, r.OK(), err)
		}
	}
	back := append(history, op(9, 10, SetConfig, Missing, broker(1)))
	if r, err := Check(back, CheckOptions{StaleRefusals: true}); err != nil || r.OK() {
		t.Errorf("a broker went back: ok=%v err=%v", r.OK(), err)
	}
}
