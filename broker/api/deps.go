package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/purgatory"
	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/broker/security/audit"
	"github.com/tidelinehq/tideline/broker/security/sasl"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/wal"
)

// Metadata is the cluster's state and the way to change it.
type Metadata interface {
	// Image is the newest state that this broker has.
	Image() *metadata.Image
	// CatchUp waits, for a bounded time, until Image has all that was committed before
	// the call, by whichever broker.
	CatchUp(ctx context.Context) error
	// Controller is the id of the broker that leads the Raft group, or -1.
	Controller() int32
	// Propose applies a command and returns once this broker's image shows it, and
	// the broker acts on it. A refusal is a command.Reason.
	Propose(ctx context.Context, c command.Command) (command.Result, error)
	// CreateTopic, CreatePartitions and DeleteTopic are proposals, too; the first
	// two in as many commands as their size takes.
	CreateTopic(ctx context.Context, c *command.CreateTopic) error
	CreatePartitions(ctx context.Context, c *command.CreatePartitions) error
	DeleteTopic(ctx context.Context, topic metadata.ID, now time.Time) error
	// AlterPartitions changes leaders and replicas, each partition for itself. It
	// returns one result for each, those of commands that failed missing.
	AlterPartitions(ctx context.Context, changes []command.PartitionChange) ([]command.EntryResult, error)
}

// HistoryRequest asks for whole batches from the one that contains Offset on, all
// below Limit, at most MaxBytes of them.
type HistoryRequest struct {
	ID            wal.ID
	Offset, Limit int64
	MaxBytes      int
	AtLeastOne    bool // the first batch counts whatever its size
}

// History is what lies in the object store.
type History interface {
	// ReadAll serves several partitions under one limit of bytes, in order.
	ReadAll(ctx context.Context, requests []HistoryRequest, maxBytes int) []tiering.ReadResult
	// FindTime returns the first tiered record at or above from whose timestamp (ms)
	// is at least ts.
	FindTime(ctx context.Context, id wal.ID, ts, from int64) (partition.TimeOffset, bool, error)
	// MaxTime returns the tiered record with the greatest timestamp.
	MaxTime(ctx context.Context, id wal.ID) (partition.TimeOffset, bool, error)
	// Aborted returns the aborted transactions that overlap the offsets [from, to), of which from is
	// tiered: all whose markers lie below until.
	Aborted(ctx context.Context, id wal.ID, from, to int64) (txns []partition.AbortedTxn, until int64, err error)
	// Ledger returns what is known of a partition's remote data.
	Ledger(id wal.ID) (metadata.Ledger, bool)
}

// Deps are the parts that the API is made of.
type Deps struct {
	Config *config.Config
	// Settings are those of Config with the dynamic ones on top, as the broker acts on them; nil:
	// as the image has them.
	Settings func() *config.Config
	// Levels are those of the loggers; nil: of the one that New gets.
	Levels     *telemetry.Levels
	Metadata   Metadata
	Partitions *partition.Table
	History    History
	Groups     Groups
	// Shares has the share partitions of this broker.
	Shares *share.Manager
	// ShareState is the coordinator of share partitions on this broker.
	ShareState ShareState
	Purgatory  *purgatory.Purgatory
	// TxnCoordinator coordinates transactions.
	TxnCoordinator TxnCoordinator
	// ClientMetrics takes what clients push; nil: one that exports nothing.
	ClientMetrics *clientmetrics.Manager
	// Quorum is the group that keeps the metadata; nil when it can not be asked.
	Quorum Quorum
	// Transactions leads to the coordinators of transactions; nil: over the brokers of the cluster, if
	// there is a TxnCoordinator, else transactional batches are refused.
	Transactions Transactions
	// MarkerWritten is told of each transaction marker that this broker has written as the leader of a
	// partition and that is in all replicas in sync. Whoever asked for the marker gets the answer after
	// done was called: an error, if it is to ask again. It runs on a goroutine of the write-ahead log or of replication, and must not block. nil:
	// nobody wants to know.
	MarkerWritten func(topic string, index int32, producerID int64, epoch int16, commit bool, done func(err error))
	// SASL returns how clients of a listener prove who they are; nil, or a nil result: they need
	// not. It is asked at the beginning of each proof.
	SASL func(listener string) *sasl.Server
	// Forward hands a request on to the broker node, to its API.Forwarded; nil in a
	// cluster of one. An error that wraps quorum.ErrNotLeader means that node has not
	// seen the request, one that wraps quorum.ErrUnknown that it may have.
	Forward func(ctx context.Context, node int32, request []byte) (answer []byte, err error)
	// Policy returns the settings on which leaders depend; nil: those of Config.
	Policy func() controller.Policy
	// Quotas has the shares of clients; nil: everybody takes what he likes.
	Quotas *quota.Manager
	// Authorizer says what clients may do; nil: everything. It returns the same one as long as
	// the bindings are the same.
	Authorizer func() *acl.Authorizer
	// Audit writes down who was kept from what and who changed what; nil: nobody does.
	Audit *audit.Log
	// Tracer makes the spans kafka.<ApiName>; nil when tracing is off. Gate decides of which requests, and is nil then, too.
	Tracer trace.Tracer
	Gate   *telemetry.Gate
	// Trail remembers which traces wrote which offsets, and Looker finds those that it has forgotten; nil: off.
	Trail  *trail.Trail
	Looker *trail.Looker
	// DiskUsage returns size and free bytes of the file system of data.dir.
	DiskUsage func() (total, free int64)
	// WaitForRoom blocks while the write-ahead log has no room for so many bytes. It
	// reports false when the deadline came first.
	WaitForRoom func(ctx context.Context, bytes int, deadline time.Time) bool
}

// responseBudget bounds the bytes of fetch responses that are under way.
const responseBudget = 256 << 20

// New makes an API of its parts. registerer may be nil.
func New(d Deps, now func() time.Time, logger *slog.Logger, registerer prometheus.Registerer) *API {
	if d.Levels == nil {
		logger, d.Levels = telemetry.WithLevels(logger)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &API{
		Deps: d, now: now, logger: logger, ctx: ctx, cancel: cancel,
		decoding:      semaphore.NewWeighted(decodeBudget),
		calls:         semaphore.NewWeighted(maxConcurrentCalls),
		responseBytes: newByteBudget(responseBudget),
		fetchSessions: newFetchSessions(int(d.Config.FetchSessionSlots), now),
		shareSessions: newShareSessions(int(d.Config.GroupShareMaxShareSessions)),
		producerIDs:   newProducerIDs(),
		streamsTopics: newStreamsTopics(now),
	}
	if a.TxnCoordinator != nil && a.Transactions == nil {
		a.Transactions = Coordinators{a}
	}
	if a.ClientMetrics == nil {
		a.ClientMetrics = clientmetrics.NewManager(clientmetrics.Options{MaxBytes: int(d.Config.TelemetryMaxBytes), NodeID: d.Config.NodeID})
	}
	if d.Shares != nil {
		a.shareSessions.left = d.Shares.Left
	}
	a.metrics = newMetrics(a, registerer)
	a.produceStages = newProduceStages(registerer)
	a.fetchStages = newFetchStages(registerer)
	return a
}
