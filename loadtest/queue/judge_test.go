package queue

import "testing"

// last is how a record was given.
var last = map[*journal]delivery{}

func give(j *journal, id int64, count int32) { last[j] = j.delivered(id, count) }

func settle(j *journal, s status, known bool) { j.answered(last[j], s, known) }

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		does                          func(*journal)
		missing, again, undone, count int64
	}{
		"accepted": {does: func(j *journal) { give(j, 1, 1); settle(j, accepts, true) }},
		"released and accepted": {does: func(j *journal) {
			give(j, 1, 1)
			settle(j, releases, true)
			give(j, 1, 2)
			settle(j, accepts, true)
		}},
		"the member died": {does: func(j *journal) {
			give(j, 1, 1)
			j.kill()
			give(j, 1, 2)
			settle(j, rejects, true)
		}},
		"nobody knows":    {does: func(j *journal) { give(j, 1, 1); settle(j, accepts, false); give(j, 1, 2) }},
		"given up":        {does: func(j *journal) { give(j, 1, 5); settle(j, releases, true) }},
		"never delivered": {does: func(*journal) {}, missing: 1},
		"left":            {does: func(j *journal) { give(j, 1, 1) }, undone: 1},
		"delivered again": {does: func(j *journal) {
			give(j, 1, 1)
			settle(j, accepts, true)
			give(j, 1, 2)
			settle(j, accepts, true)
		}, again: 1},
		"held from before": {does: func(j *journal) {
			give(j, 1, 1)
			settle(j, accepts, true)
			give(j, 1, 1)
			settle(j, accepts, false)
		}},
		"rejected and delivered": {does: func(j *journal) {
			give(j, 1, 1)
			settle(j, rejects, true)
			give(j, 1, 2)
			settle(j, releases, true)
		}, again: 1},
		"too often": {does: func(j *journal) { give(j, 1, 6); settle(j, accepts, true) }, count: 1},
		"count forgotten": {does: func(j *journal) {
			give(j, 1, 2)
			settle(j, releases, true)
			give(j, 1, 2)
			settle(j, accepts, true)
		}, count: 1},
		"count forgotten later": {does: func(j *journal) {
			give(j, 1, 2)
			settle(j, releases, true)
			give(j, 1, 3)
			j.kill()
			give(j, 1, 2)
			settle(j, accepts, true)
		}, count: 1},
		// The broker gives a released record to the next one before this one has the answer.
		"given before the release is known": {does: func(j *journal) {
			released := j.delivered(1, 1)
			give(j, 1, 2)
			j.answered(released, releases, true)
			j.kill() // the second one, whose delivery does not count then
			give(j, 1, 2)
			settle(j, accepts, true)
		}},
		"count skips": {does: func(j *journal) {
			give(j, 1, 1)
			settle(j, releases, true)
			give(j, 1, 3)
			settle(j, accepts, true)
		}, count: 1},
		"count skips after a kill": {does: func(j *journal) {
			give(j, 1, 1)
			settle(j, releases, true)
			j.kill()
			give(j, 1, 3)
			settle(j, accepts, true)
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
