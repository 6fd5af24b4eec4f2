package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startKind is a way to say where in a partition to begin.
type startKind int

const (
	startLatest startKind = iota
	startEarliest
	startOffset    // number is the offset
	startBeforeEnd // number is how many offsets before the end
	startTime      // number is milliseconds since 1970
)

// startPoint is where to begin.
type startPoint struct {
	kind   startKind
	number int64
}

// parseStart reads the value of --offset.
func parseStart(text string, now time.Time) (startPoint, error) {
	switch text {
	case "earliest", "beginning":
		return startPoint{kind: startEarliest}, nil
	case "latest", "end":
		return startPoint{kind: startLatest}, nil
	}
	if at, ok := strings.CutPrefix(text, "@"); ok {
		if ago, err := time.ParseDuration(at); err == nil && ago < 0 {
			return startPoint{startTime, now.Add(ago).UnixMilli()}, nil
		}
		t, err := parseTime(at)
		if err != nil {
			return startPoint{}, usageError{err}
		}
		return startPoint{startTime, t.UnixMilli()}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return startPoint{}, usagef("unknown --offset %q: allowed are earliest, latest, a number, -N and @TIME", text)
	}
	if strings.HasPrefix(text, "-") {
		return startPoint{startBeforeEnd, -n}, nil
	}
	return startPoint{startOffset, n}, nil
}

// relative returns the point in the client's own terms, for partitions that are
// not known yet.
func (s startPoint) relative() kgo.Offset {
	switch s.kind {
	case startEarliest:
		return kgo.NewOffset().AtStart()
	case startOffset:
		return kgo.NewOffset().At(s.number)
	case startBeforeEnd:
		return kgo.NewOffset().AtEnd().Relative(-s.number)
	case startTime:
		return kgo.NewOffset().AfterMilli(s.number)
	case startLatest:
	}
	return kgo.NewOffset().AtEnd()
}

// resolve returns the offset of the point in each partition, held between the
// partition's start and end, and the ends: the last stable offsets when only
// committed records are read, else the high watermarks.
func (s startPoint) resolve(ctx context.Context, admin *kadm.Client, topic string, partitions []int32, committed bool) (starts, ends map[int32]int64, err error) {
	list := admin.ListEndOffsets
	if committed {
		list = admin.ListCommittedOffsets
	}
	if ends, err = offsetsOf(ctx, list, topic, partitions); err != nil {
		return nil, nil, err
	}
	first, err := offsetsOf(ctx, admin.ListStartOffsets, topic, partitions)
	if err != nil {
		return nil, nil, err
	}
	var timed map[int32]int64
	if s.kind == startTime {
		after := func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return admin.ListOffsetsAfterMilli(ctx, s.number, topics...)
		}
		if timed, err = offsetsOf(ctx, after, topic, partitions); err != nil {
			return nil, nil, err
		}
	}
	starts = map[int32]int64{}
	for _, partition := range partitions {
		at := ends[partition]
		switch s.kind {
		case startEarliest:
			at = first[partition]
		case startOffset:
			at = s.number
		case startBeforeEnd:
			at -= s.number
		case startTime:
			at = timed[partition]
		case startLatest:
		}
		starts[partition] = max(first[partition], min(at, ends[partition]))
	}
	return starts, ends, nil
}

type listOffsets func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)

// offsetsOf lists one offset for each partition.
func offsetsOf(ctx context.Context, list listOffsets, topic string, partitions []int32) (map[int32]int64, error) {
	listed, err := list(ctx, topic)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for _, partition := range partitions {
		o, ok := listed.Lookup(topic, partition)
		if !ok {
			return nil, fmt.Errorf("%s partition %d: the broker listed no offset", topic, partition)
		}
		if o.Err != nil {
			return nil, fmt.Errorf("%s partition %d: %w", topic, partition, o.Err)
		}
		offsets[partition] = o.Offset
	}
	return offsets, nil
}
