package queue

import "testing"

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		does                          func(*journal)
		missing, again, undone, count int64
	}{
		"accepted": {does: func(j *journal) { j.delivered(1, 1); j.answered(1, accepts, true) }},
		"released and accepted": {does: func(j *journal) {
			j.delivered(1, 1)
			j.answered(1, releases, true)
			j.delivered(1, 2)
			j.answered(1, accepts, true)
		}},
		"the member died": {does: func(j *journal) {
			j.delivered(1, 1)
			j.kill()
			j.delivered(1, 2)
			j.answered(1, rejects, true)
		}},
		"nobody knows":           {does: func(j *journal) { j.delivered(1, 1); j.answered(1, accepts, false); j.delivered(1, 2) }},
		"given up":               {does: func(j *journal) { j.delivered(1, 5); j.answered(1, releases, true) }},
		"never delivered":        {does: func(*journal) {}, missing: 1},
		"left":                   {does: func(j *journal) { j.delivered(1, 1) }, undone: 1},
		"delivered again":        {does: func(j *journal) { j.delivered(1, 1); j.answered(1, accepts, true); j.delivered(1, 2) }, again: 1},
		"rejected and delivered": {does: func(j *journal) { j.delivered(1, 1); j.answered(1, rejects, true); j.delivered(1, 2) }, again: 1},
		"too often":              {does: func(j *journal) { j.delivered(1, 6); j.answered(1, accepts, true) }, count: 1},
		"count forgotten": {does: func(j *journal) {
			j.delivered(1, 2)
			j.answered(1, releases, true)
			j.delivered(1, 2)
			j.answered(1, accepts, true)
		}, count: 1},
		"count skips": {does: func(j *journal) {
			j.delivered(1, 1)
			j.answered(1, releases, true)
			j.delivered(1, 3)
			j.answered(1, accepts, true)
		}, count: 1},
		"count skips after a kill": {does: func(j *journal) {
			j.delivered(1, 1)
			j.answered(1, releases, true)
			j.kill()
			j.delivered(1, 3)
			j.answered(1, accepts, true)
		}},
	} {
		j := newJournal(5)
		j.produced(1)
		c.does(j)
		r := j.end()
		if r.Missing != c.missing || r.Again != c.again || r.Undone != c.undone || r.Count != c.count {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
