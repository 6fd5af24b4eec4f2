package api

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/partition"
)

// markerTimeout bounds how long markers wait for other brokers: the coordinator sends them again.
const markerTimeout = 30 * time.Second

var errMarkerNotReplicated = fmt.Errorf("%w: the marker is on this broker and was not replicated in time", kerr.RequestTimedOut)

// markersOp is one WriteTxnMarkers under way. remaining counts the partitions that are not decided, plus one
// for the goroutine that appends; whoever brings it to zero answers.
type markersOp struct {
	call      *Call
	resp      *kmsg.WriteTxnMarkersResponse
	appends   []*markerAppend
	remaining atomic.Int32

	mu    sync.Mutex // guards timer
	timer *time.Timer
}

// markerAppend is one marker on its way into one partition.
type markerAppend struct {
	partition.Append
	op     *markersOp
	marker *kmsg.WriteTxnMarkersRequestMarker
	topic  string
	result *kmsg.WriteTxnMarkersResponseMarkerTopicPartition
}

// writeTxnMarkers answers WriteTxnMarkers: a transaction coordinator, or a tool against hanging transactions,
// has transactions end on partitions that this broker leads. The answer follows when all markers
// are in all replicas in sync.
func writeTxnMarkers(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.WriteTxnMarkersRequest)
	op := &markersOp{call: c, resp: kmsg.NewPtrWriteTxnMarkersResponse()}
	op.resp.SetVersion(req.Version)
	op.shape(req)
	op.remaining.Store(int32(len(op.appends)) + 1)
	for _, x := range op.appends {
		x.begin()
	}
	op.mu.Lock()
	if op.remaining.Load() > 1 {
		op.timer = time.AfterFunc(markerTimeout, op.expire)
	}
	op.mu.Unlock()
	op.decided()
	return nil
}

// shape makes the answer like the request, and an append for each of its partitions.
func (op *markersOp) shape(req *kmsg.WriteTxnMarkersRequest) {
	op.resp.Markers = make([]kmsg.WriteTxnMarkersResponseMarker, len(req.Markers))
	for i := range req.Markers {
		m, rm := &req.Markers[i], &op.resp.Markers[i]
		rm.ProducerID, rm.Topics = m.ProducerID, make([]kmsg.WriteTxnMarkersResponseMarkerTopic, len(m.Topics))
		for j := range m.Topics {
			t, rt := &m.Topics[j], &rm.Topics[j]
			rt.Topic, rt.Partitions = t.Topic, make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, len(t.Partitions))
			for k, index := range t.Partitions {
				rt.Partitions[k].Partition = index
				op.appends = append(op.appends, &markerAppend{op: op, marker: m, topic: t.Topic, result: &rt.Partitions[k]})
			}
		}
	}
}

func (x *markerAppend) begin() {
	a, index := x.op.call.API, x.result.Partition
	p := a.Partitions.Get(x.topic, index)
	if !leads(p) {
		x.result.ErrorCode = a.missing(x.topic, index)
		x.op.decided()
		return
	}
	m := partition.Marker{
		ProducerID: x.marker.ProducerID, ProducerEpoch: x.marker.ProducerEpoch, CoordinatorEpoch: x.marker.CoordinatorEpoch,
		Commit: x.marker.Committed, TransactionVersion: x.marker.TransactionVersion,
	}
	if err := p.AppendMarker(&x.Append, m, x); err != nil {
		x.Appended(&x.Append, err)
	}
}

// Appended implements partition.Owner.
func (x *markerAppend) Appended(_ *partition.Append, err error) {
	a := x.op.call.API
	if err != nil {
		x.result.ErrorCode = errorCode(err)
		a.logger.Info("transaction marker not written", "topic", x.topic, "partition", x.result.Partition, "producer_id", x.marker.ProducerID, "error", err)
		x.op.decided()
		return
	}
	if a.MarkerWritten == nil {
		x.op.decided()
		return
	}
	a.MarkerWritten(x.topic, x.result.Partition, x.marker.ProducerID, x.marker.ProducerEpoch, x.marker.Committed, func(err error) {
		if err != nil {
			x.result.ErrorCode = errorCode(err)
		}
		x.op.decided()
	})
}

// expire ends what still waits for other brokers.
func (op *markersOp) expire() {
	for _, x := range op.appends {
		x.GiveUp(errMarkerNotReplicated)
	}
}

// decided counts one partition as decided, and answers after the last.
func (op *markersOp) decided() {
	if op.remaining.Add(-1) != 0 {
		return
	}
	op.mu.Lock()
	if op.timer != nil {
		op.timer.Stop()
	}
	op.mu.Unlock()
	op.call.Reply(op.resp)
}
