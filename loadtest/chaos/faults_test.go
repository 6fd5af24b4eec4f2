package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// capability is what a fault needs of the machine.
type capability string

const (
	nothing  capability = ""
	networks capability = "networks"
	disks    capability = "disks"
	throttle capability = "throttled disks"
)

// fault is something that is done to the cluster.
type fault struct {
	name  string
	needs capability
	// lasts is how long, at least and at most. A fault that is over when it is done lasts no time.
	least, most time.Duration
	// whole says that a majority is whole meanwhile, of the brokers and of each partition's replicas: writing must go on.
	whole bool
	// asked says that it is done only where it is asked for by its name.
	asked bool
	// does begins it. over ends it.
	does func(ctx context.Context, s *scene) (over func() error, err error)
}

// choose picks a broker.
type choose func(*scene, context.Context) (int, error)

// kill ends a broker as a crash would.
func kill(name string, which choose) fault {
	return fault{name: name, most: 4 * time.Second, whole: true, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := which(s, ctx)
		if err != nil {
			return nil, err
		}
		s.cluster.Kill(b)
		return func() error { return s.restart(b) }, nil
	}}
}

// pause suspends a broker. Longer than a session, shorter, or just so.
func pause(name string, which choose, least, most time.Duration) fault {
	return fault{name: name, least: least, most: most, whole: true, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := which(s, ctx)
		if err != nil {
			return nil, err
		}
		s.cluster.Pause(b)
		return func() error { s.cluster.Resume(b); return nil }, nil
	}}
}

// cut has hosts not hear one another, each pair in one direction.
func cut(name string, whole bool, which choose, pairs func(s *scene, b int) [][2]int) fault {
	return fault{name: name, needs: networks, least: time.Second, most: 9 * time.Second, whole: whole,
		does: func(ctx context.Context, s *scene) (func() error, error) {
			b, err := which(s, ctx)
			if err != nil {
				return nil, err
			}
			for _, pair := range pairs(s, b) {
				from := testHost()
				if pair[1] != everybodyElse {
					from = host(pair[1])
				}
				if err := deaf(pair[0], from); err != nil {
					return nil, errors.Join(err, all(hear))
				}
			}
			return func() error { return all(hear) }, nil
		}}
}

// others are the pairs of a broker with each of the others.
func others(b int, pair func(b, other int) [2]int) (out [][2]int) {
	for other := range brokers {
		if other != b {
			out = append(out, pair(b, other))
		}
	}
	return out
}

func hearsNobody(_ *scene, b int) [][2]int {
	return others(b, func(b, other int) [2]int { return [2]int{b, other} })
}

func isHeardByNobody(_ *scene, b int) [][2]int {
	return others(b, func(b, other int) [2]int { return [2]int{other, b} })
}

func bothWays(s *scene, b int) [][2]int { return append(hearsNobody(s, b), isHeardByNobody(s, b)...) }

// unreachable is a broker that not even its clients and the object store reach.
func unreachable(s *scene, b int) [][2]int { return append(bothWays(s, b), [2]int{b, everybodyElse}) }

// everybodyElse stands for the test's own address.
const everybodyElse = -1

func oneLink(s *scene, b int) [][2]int {
	other := (b + 1 + s.random.IntN(brokers-1)) % brokers
	return [][2]int{{b, other}, {other, b}}
}

func oneDirection(s *scene, b int) [][2]int { return oneLink(s, b)[:1] }

// unlucky is a mood of the object store, alone.
func unlucky(name string, m mood) fault {
	return fault{name: name, least: time.Second, most: 8 * time.Second, whole: true, does: func(_ context.Context, s *scene) (func() error, error) {
		s.store.is(m)
		return func() error { s.store.is(moodWell); return nil }, nil
	}}
}

// both has one fault happen while another lasts, and end first, except that a broker which nobody hears can not start. Two that leave a
// majority whole each may not do so together.
func both(first, second fault, whole bool) fault {
	f := fault{name: first.name + "+" + second.name, needs: second.needs, least: second.least, most: second.most, whole: whole}
	if f.needs == nothing {
		f.needs = first.needs
	}
	f.does = func(ctx context.Context, s *scene) (func() error, error) {
		end, err := first.does(ctx, s)
		if err != nil {
			return nil, err
		}
		s.hold(ctx, s.between(0, 2*time.Second))
		endSecond, err := second.does(ctx, s)
		if err != nil {
			return nil, errors.Join(err, end())
		}
		return func() error {
			if first.needs == networks {
				return errors.Join(end(), endSecond())
			}
			return errors.Join(endSecond(), end())
		}, nil
	}
	return f
}

func killTwo() fault {
	return fault{name: "kill-two", most: 3 * time.Second, does: func(_ context.Context, s *scene) (func() error, error) {
		spared := s.random.IntN(brokers)
		a, b := (spared+1)%brokers, (spared+2)%brokers
		s.cluster.Kill(a, b)
		return func() error { s.cluster.Restart(a, b); return nil }, nil
	}}
}

func killAll() fault {
	return fault{name: "kill-all", most: time.Second, does: func(_ context.Context, s *scene) (func() error, error) {
		s.cluster.Kill(0, 1, 2)
		return func() error { s.cluster.Restart(0, 1, 2); return nil }, nil
	}}
}

// killAgain has one broker die again and again, just when it is back.
func killAgain() fault {
	return fault{name: "kill-again", whole: true, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := s.leader(ctx)
		if err != nil {
			return nil, err
		}
		for range 3 {
			s.cluster.Kill(b)
			s.hold(ctx, s.between(0, time.Second))
			s.cluster.Restart(b)
			s.hold(ctx, s.between(0, 500*time.Millisecond))
		}
		return func() error { return nil }, nil
	}}
}

// killStarting has a broker die while it starts.
func killStarting() fault {
	return fault{name: "kill-starting", whole: true, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := s.leader(ctx)
		if err != nil {
			return nil, err
		}
		s.cluster.Kill(b)
		for range 4 {
			s.cluster.Begin(b)
			s.hold(ctx, s.between(0, 600*time.Millisecond))
			s.cluster.Kill(b)
		}
		return func() error { return s.restart(b) }, nil
	}}
}

// killInTurn has each broker die as soon as the one before serves again, in sync or not.
func killInTurn() fault {
	return fault{name: "kill-in-turn", does: func(ctx context.Context, s *scene) (func() error, error) {
		for _, b := range s.random.Perm(brokers) {
			s.cluster.Kill(b)
			s.hold(ctx, s.between(0, time.Second))
			s.cluster.Restart(b)
		}
		return func() error { return nil }, nil
	}}
}

// stutter suspends and resumes a broker all the time.
func stutter() fault {
	return fault{name: "stutter", does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := s.leader(ctx)
		if err != nil {
			return nil, err
		}
		for range 8 {
			s.cluster.Pause(b)
			s.hold(ctx, s.between(50*time.Millisecond, 900*time.Millisecond))
			s.cluster.Resume(b)
			s.hold(ctx, s.between(0, 300*time.Millisecond))
		}
		return func() error { return nil }, nil
	}}
}

// roll stops and starts the brokers one after the other, as an upgrade does: the next one when all is in sync again.
func roll() fault {
	return fault{name: "rolling-restart", whole: true, does: func(ctx context.Context, s *scene) (func() error, error) {
		for _, b := range s.random.Perm(brokers) {
			s.cluster.Stop(b)
			s.cluster.Restart(b)
			if err := s.cluster.Rest(ctx); err != nil {
				return nil, err
			}
		}
		return func() error { return nil }, nil
	}}
}

// wipe has a broker die and lose its disk. Until it votes on the metadata again, the loss of another one is more than the cluster promises to
// survive, and so is any loss where one replica alone may acknowledge.
func wipe() fault {
	return fault{name: "wipe", whole: true, asked: true, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := s.any(ctx)
		if err != nil {
			return nil, err
		}
		s.cluster.Kill(b)
		s.cluster.WipeDisk(b)
		return func() error { return s.restart(b) }, nil
	}}
}

func slow() fault {
	return fault{name: "disk-slow", needs: throttle, least: 2 * time.Second, most: 10 * time.Second, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := s.any(ctx)
		if err != nil {
			return nil, err
		}
		return slowDisk(s.dirs[b], s.cluster.Broker(b).PID(), 32<<10+s.random.IntN(256<<10))
	}}
}

// full fills the disk of a broker, which may end because of that.
func full() fault {
	return fault{name: "disk-full", needs: disks, least: time.Second, most: 8 * time.Second, whole: true, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := s.any(ctx)
		if err != nil {
			return nil, err
		}
		s.cluster.Broker(b).MayEnd()
		if err := fillDisk(s.dirs[b]); err != nil {
			return nil, err
		}
		return func() error {
			if err := emptyDisk(s.dirs[b]); err != nil {
				return err
			}
			s.cluster.Broker(b).MustGoOn()
			return s.restart(b)
		}, nil
	}}
}

// faults are all that there are.
func faults() []fault {
	lossOf := func(name string, which func(s *scene) []int) fault {
		return fault{name: name, needs: networks, least: 2 * time.Second, most: 8 * time.Second, does: func(_ context.Context, s *scene) (func() error, error) {
			for _, b := range which(s) {
				if err := lossy(b, 0.02+0.3*s.random.Float64()); err != nil {
					return nil, errors.Join(err, all(hear))
				}
			}
			return func() error { return all(hear) }, nil
		}}
	}
	line := fault{name: "net-thin", needs: networks, least: 2 * time.Second, most: 8 * time.Second, does: func(ctx context.Context, s *scene) (func() error, error) {
		b, err := s.any(ctx)
		if err != nil {
			return nil, err
		}
		return func() error { return thick(b) }, thin(b, 200+s.random.IntN(800))
	}}
	leader, follower, controller, anybody := (*scene).leader, (*scene).follower, (*scene).controller, (*scene).any
	killLeader := kill("kill-leader", leader)
	stores := []fault{
		unlucky("s3-away", moodAway), unlucky("s3-silent", moodSilent), unlucky("s3-slow", moodSlow), unlucky("s3-refusing", moodRefusing),
		unlucky("s3-forgetful", moodForgetful),
	}
	list := []fault{
		killLeader, kill("kill-follower", follower), kill("kill-controller", controller), killTwo(), killAll(), killAgain(), killInTurn(), killStarting(),
		pause("pause-leader", leader, 3500*time.Millisecond, 8*time.Second), pause("pause-controller", controller, 3500*time.Millisecond, 8*time.Second),
		pause("pause-short", anybody, 200*time.Millisecond, 3*time.Second), stutter(), roll(), wipe(),
		slow(), full(),
		cut("net-leader-deaf", true, leader, hearsNobody), cut("net-leader-mute", true, leader, isHeardByNobody), cut("net-leader-alone", true, leader, bothWays),
		cut("net-leader-gone", true, leader, unreachable), cut("net-controller-gone", true, controller, unreachable),
		cut("net-controller-deaf", true, controller, hearsNobody), cut("net-controller-mute", true, controller, isHeardByNobody),
		cut("net-controller-alone", true, controller, bothWays),
		cut("net-one-link", false, anybody, oneLink), cut("net-one-direction", false, anybody, oneDirection),
		lossOf("net-loss", func(s *scene) []int { return []int{s.random.IntN(brokers)} }), lossOf("net-loss-all", func(*scene) []int { return []int{0, 1, 2} }),
		line,
	}
	list = append(list, stores...)
	for _, store := range stores {
		list = append(list, both(store, killLeader, true), both(store, roll(), true), both(store, killAll(), false))
	}
	return append(list,
		both(unlucky("s3-away", moodAway), full(), true),
		both(pause("pause", anybody, 0, 0), killAll(), false),
		both(cut("net-leader-alone", true, leader, bothWays), kill("kill", anybody), false),
		both(pause("pause", anybody, 0, 0), kill("kill", func(s *scene, ctx context.Context) (int, error) { return s.controller(ctx) }), false),
	)
}

// chosen are the faults that are asked for and that this machine can do.
func chosen(s *scene) ([]fault, error) {
	missing := map[capability]error{}
	if !s.isolated {
		why := errors.New(os.Getenv(plainVariable))
		missing[networks], missing[disks], missing[throttle] = why, why, why
	} else {
		if err := filters(); err != nil {
			missing[networks] = err
		}
		if err := throttles(); err != nil {
			missing[throttle] = err
		}
	}
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	var out []fault
	known := map[string]bool{}
	for _, f := range faults() {
		known[f.name] = true
		if len(names) > 0 && !slices.Contains(names, f.name) || len(names) == 0 && f.asked {
			continue
		}
		if why := missing[f.needs]; why != nil {
			s.t.Logf("left out: %s needs %s: %v", f.name, f.needs, why)
			continue
		}
		out = append(out, f)
	}
	for _, name := range names {
		if !known[name] {
			return nil, fmt.Errorf("unknown fault=%q", name)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no fault is left")
	}
	return out, nil
}
