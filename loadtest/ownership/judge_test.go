package ownership

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(s int, k kind, member int, p int32) event {
		return event{at: began.Add(time.Duration(s) * time.Second), kind: k, member: member, partition: p}
	}
	for name, c := range map[string]struct {
		events                   []event
		doubles, orphans, losses int
	}{
		"handed over":              {events: []event{at(0, take, 1, 0), at(1, give, 1, 0), at(2, take, 2, 0)}},
		"given twice":              {events: []event{at(0, take, 1, 0), at(1, take, 2, 0)}, doubles: 1},
		"given again to the same":  {events: []event{at(0, take, 1, 0), at(1, take, 1, 0)}},
		"nobody for long":          {events: []event{at(0, take, 1, 0), at(1, give, 1, 0), at(9, take, 2, 0)}, orphans: 1},
		"found dead in time":       {events: []event{at(0, take, 1, 0), at(1, die, 1, -1), at(11, take, 2, 0)}},
		"found dead late":          {events: []event{at(0, take, 1, 0), at(1, die, 1, -1), at(13, take, 2, 0)}, orphans: 1},
		"the coordinator died too": {events: []event{at(0, take, 1, 0), at(1, die, 1, -1), at(5, move, -1, -1), at(13, take, 2, 0)}},
		"never again":              {events: []event{at(0, take, 1, 0), at(1, give, 1, 0)}, orphans: 1},
		"removed and not told yet": {events: []event{at(0, take, 1, 0), at(8, take, 2, 0), at(9, lose, 1, 0)}, losses: 1},
	} {
		r := judge(c.events, 1, 6*time.Second, 5*time.Second, began.Add(20*time.Second))
		if r.Doubles != c.doubles || r.Orphans != c.orphans || r.Losses != c.losses {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
