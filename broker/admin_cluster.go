package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/quorum"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// Bounds of what one request to the admin API sets in motion.
const (
	// mostMoves is the most moves of replicas that can be asked for.
	mostMoves = 10_000
	// maxLeaderMoves is how many leaders change at once. Each makes its clients ask
	// who leads.
	maxLeaderMoves = 1000
	// maxAdminRequest bounds the body of a request.
	maxAdminRequest = 64 << 10
	// tolerance is by which part of a fair share two brokers may differ.
	tolerance = 0.1
)

// clusterRoutes adds the part of the admin API that is about brokers and where
// replicas are. What changes something is refused when a page of another origin
// asks for it: a browser on this machine reaches the API, and remembers a login.
func (b *Broker) clusterRoutes(mux *http.ServeMux) {
	same := http.NewCrossOriginProtection()
	mux.HandleFunc("GET "+adminapi.BrokersPath, b.adminBrokers)
	mux.Handle("POST "+adminapi.DecommissionPath, same.Handler(http.HandlerFunc(b.adminDecommission)))
	mux.Handle("DELETE "+adminapi.DecommissionPath, same.Handler(http.HandlerFunc(b.adminRecommission)))
	mux.Handle("POST "+adminapi.RebalancePath, same.Handler(http.HandlerFunc(b.adminRebalance)))
}

func (b *Broker) adminBrokers(w http.ResponseWriter, _ *http.Request) {
	image := b.meta.Image()
	answer := adminapi.Brokers{Controller: b.meta.Controller(), Brokers: []adminapi.Broker{}}
	for x := range image.Brokers() {
		answer.Brokers = append(answer.Brokers, adminBroker(image, x))
	}
	b.answerAdmin(w, &answer)
}

func adminBroker(image *metadata.Image, x *metadata.Broker) adminapi.Broker {
	out := adminapi.Broker{
		ID: x.ID, Rack: x.Rack, State: adminapi.InService, Draining: x.Draining,
		Leaders: image.LedCount(x.ID), Replicas: image.HostedCount(x.ID),
	}
	switch {
	case x.Fenced:
		out.State = adminapi.Fenced
	case x.ShuttingDown:
		out.State = adminapi.ShuttingDown
	}
	for _, e := range x.Endpoints {
		if e.Listener != command.InternalListener {
			out.Host, out.Port = e.Host, e.Port
			break
		}
	}
	return out
}

// adminDecommission sends the replicas of a broker away, and forgets it once it has
// none and is stopped. Repeated, it goes on where it was.
func (b *Broker) adminDecommission(w http.ResponseWriter, r *http.Request) {
	id, err := brokerID(r)
	if err != nil {
		b.refuseAdmin(w, err)
		return
	}
	var answer adminapi.Decommission
	image := b.meta.Image()
	x, ok := image.Broker(id)
	if ok {
		answer.Broker = adminBroker(image, x)
	}
	if ok && x.Draining && x.Fenced && answer.Broker.Replicas == 0 {
		var remove *command.RemoveBroker
		if remove, err = controller.Remove(image, id, b.now().Add(b.cfg.TierGarbageGrace).UnixMilli()); err == nil {
			_, err = b.meta.Propose(r.Context(), remove)
		}
		answer.Removed = err == nil
	} else if err = b.drain(r.Context(), image, id); err == nil {
		answer.Started, err = b.startMoves(r.Context(), b.meta.Image(), drainingMoves(b.meta.Image(), id, b.member.Steward().Gather(r.Context())))
		if x, ok := b.meta.Image().Broker(id); ok {
			answer.Broker = adminBroker(b.meta.Image(), x)
		}
	}
	if err != nil {
		b.refuseAdmin(w, err)
		return
	}
	b.answerAdmin(w, &answer)
}

// drain marks a broker as one that gets no more replicas.
func (b *Broker) drain(ctx context.Context, image *metadata.Image, id int32) error {
	mark, err := controller.Decommission(image, id)
	if err != nil {
		return err
	}
	_, err = b.meta.Propose(ctx, mark)
	return err
}

func (b *Broker) adminRecommission(w http.ResponseWriter, r *http.Request) {
	id, err := brokerID(r)
	if err == nil {
		var mark *command.DrainBroker
		if mark, err = controller.Recommission(b.meta.Image(), id); err == nil {
			_, err = b.meta.Propose(r.Context(), mark)
		}
	}
	image := b.meta.Image()
	x, ok := image.Broker(id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: id=%d", controller.ErrUnknownBroker, id)
	}
	if err != nil {
		b.refuseAdmin(w, err)
		return
	}
	b.answerAdmin(w, &adminapi.Decommission{Broker: adminBroker(image, x)})
}

func (b *Broker) adminRebalance(w http.ResponseWriter, r *http.Request) {
	var req adminapi.RebalanceRequest
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminRequest))
	if err := in.Decode(&req); err != nil && !errors.Is(err, io.EOF) {
		b.refuseAdmin(w, fmt.Errorf("%w: body: %w", controller.ErrInvalidRequest, err))
		return
	}
	if req.MaxMoves < 0 || req.MaxMoves > mostMoves || req.MaxBytes < 0 {
		b.refuseAdmin(w, fmt.Errorf("%w: max_moves=%d of at most %d, max_bytes=%d", controller.ErrInvalidRequest, req.MaxMoves, mostMoves, req.MaxBytes))
		return
	}
	image := b.meta.Image()
	p := planBalance(image, policyOf(b.replicas.config()), &req, b.member.Steward().Gather(r.Context()))
	answer := p.describe(image)
	if !req.DryRun {
		started, err := b.startMoves(r.Context(), image, p.moves)
		if err == nil {
			var led int
			led, err = b.changePartitions(r.Context(), p.leaders)
			started += led
		}
		if answer.Applied = started; err != nil {
			b.refuseAdmin(w, err)
			return
		}
	}
	b.answerAdmin(w, &answer)
}

// balance is what a rebalance would do.
type balance struct {
	moves   []controller.Move
	leaders []command.PartitionChange
}

// loads are what the partitions that this broker leads have to do.
func (b *Broker) loads() (out []membership.PartitionLoad) {
	for _, p := range b.table.All() {
		if !p.Leads() {
			continue
		}
		x := membership.PartitionLoad{Topic: p.ID().Topic, Partition: p.ID().Partition}
		if x.BytesIn, x.TailBytes = p.Load(); x.Load != (controller.Load{}) {
			out = append(out, x)
		}
	}
	return out
}

// planBalance decides which replicas and which leaderships go elsewhere.
func planBalance(image *metadata.Image, policy controller.Policy, req *adminapi.RebalanceRequest, load membership.Loads) balance {
	decide := controller.Balance{Load: load.Of, MaxMoves: req.MaxMoves, MaxBytes: req.MaxBytes, Tolerance: tolerance}
	if decide.MaxMoves == 0 {
		decide.MaxMoves = maxMoves
	}
	if decide.MaxBytes == 0 {
		decide.MaxBytes = math.MaxInt64
	}
	p := balance{moves: decide.Moves(image)}
	moved := make(map[metadata.TopicPartition]bool, len(p.moves))
	for i := range p.moves {
		moved[metadata.TopicPartition{Topic: p.moves[i].Topic, Partition: p.moves[i].Partition}] = true
	}
	// What moves gets its leader when it has arrived.
	for _, c := range policy.SpreadLeaders(image, maxLeaderMoves) {
		if !moved[metadata.TopicPartition{Topic: c.Topic, Partition: c.Partition}] {
			p.leaders = append(p.leaders, c)
		}
	}
	return p
}

// drainingMoves returns the next replicas that leave a broker, within the bounds of
// what the controller moves by itself.
func drainingMoves(image *metadata.Image, id int32, load membership.Loads) []controller.Move {
	// With this tolerance nothing is uneven, and brokers that drain go first.
	decide := controller.Balance{Load: load.Of, MaxMoves: maxMoves, MaxBytes: maxMovedBytes, Tolerance: math.MaxFloat64}
	var out []controller.Move
	for _, m := range decide.Moves(image) {
		if m.From == id {
			out = append(out, m)
		}
	}
	return out
}

func (p *balance) describe(image *metadata.Image) adminapi.Rebalance {
	out := adminapi.Rebalance{Moves: []adminapi.ReplicaMove{}, Leaders: []adminapi.LeaderMove{}}
	for i := range p.moves {
		m := &p.moves[i]
		if t, ok := image.TopicByID(m.Topic); ok {
			out.Moves = append(out.Moves, adminapi.ReplicaMove{
				Topic: t.Name, Partition: m.Partition, From: m.From, To: m.To, Replicas: m.Replicas, Bytes: m.Bytes,
			})
		}
	}
	for i := range p.leaders {
		c := &p.leaders[i]
		t, ok := image.TopicByID(c.Topic)
		x, here := image.Partition(c.Topic, c.Partition)
		if ok && here {
			out.Leaders = append(out.Leaders, adminapi.LeaderMove{Topic: t.Name, Partition: c.Partition, From: x.Leader, To: c.Leader})
		}
	}
	return out
}

// startMoves begins moves and returns how many of them. The others were overtaken
// by other changes, and come again in the next round if they still make sense.
func (b *Broker) startMoves(ctx context.Context, image *metadata.Image, moves []controller.Move) (int, error) {
	wishes := make([]controller.Reassignment, len(moves))
	for i := range moves {
		wishes[i] = controller.Reassignment{Topic: moves[i].Topic, Partition: moves[i].Partition, Replicas: moves[i].Replicas}
	}
	var changes []command.PartitionChange
	for _, r := range policyOf(b.replicas.config()).Reassign(image, wishes, controller.DefaultLimits) {
		if r.Err == nil && r.Needed {
			changes = append(changes, r.Change)
		}
	}
	return b.changePartitions(ctx, changes)
}

// changePartitions proposes changes and returns how many were accepted.
func (b *Broker) changePartitions(ctx context.Context, changes []command.PartitionChange) (int, error) {
	if len(changes) == 0 {
		return 0, nil
	}
	results, err := b.meta.AlterPartitions(ctx, changes)
	r := command.Result{Entries: results}
	return r.Accepted(), err
}

var errNoBrokerID = fmt.Errorf("%w: not the id of a broker", controller.ErrInvalidRequest)

func brokerID(r *http.Request) (int32, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
	if err != nil || id < 0 {
		return -1, fmt.Errorf("%w: id=%q", errNoBrokerID, r.PathValue("id"))
	}
	return int32(id), nil
}

func (b *Broker) answerAdmin(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		b.logger.Debug("an answer of the admin API was not read to its end", "error", err)
	}
}

// refuseAdmin answers with an error and the status that says whose it is.
func (b *Broker) refuseAdmin(w http.ResponseWriter, err error) {
	status := http.StatusConflict // the cluster is not in a state for it
	switch {
	case errors.Is(err, controller.ErrInvalidRequest):
		status = http.StatusBadRequest
	case errors.Is(err, errNotLocal):
		status = http.StatusForbidden
	case errors.Is(err, controller.ErrUnknownBroker), errors.Is(err, command.NoBroker), errors.Is(err, command.NoRole):
		status = http.StatusNotFound
	case errors.Is(err, quorum.ErrNotLeader), errors.Is(err, quorum.ErrUnknown), errors.Is(err, quorum.ErrClosed), errors.Is(err, metadata.ErrClosed):
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(adminapi.Error{Message: err.Error()}); err != nil {
		b.logger.Debug("an answer of the admin API was not read to its end", "error", err)
	}
}
