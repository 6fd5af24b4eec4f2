package adminapi

// Paths of the admin API. {id} stands for a broker's.
const (
	BrokersPath      = "/v1/brokers"
	DecommissionPath = "/v1/brokers/{id}/decommission"
	RebalancePath    = "/v1/partitions/rebalance"
)

// Brokers is what the cluster has registered.
type Brokers struct {
	Controller int32    `json:"controller"` // -1: the metadata group has no leader
	Brokers    []Broker `json:"brokers"`
}

// States of a broker.
const (
	InService    = "in service"
	Fenced       = "fenced"
	ShuttingDown = "shutting down"
)

// Broker is one of them.
type Broker struct {
	ID       int32  `json:"id"`
	Host     string `json:"host"` // of its first listener
	Port     int32  `json:"port"`
	Rack     string `json:"rack"`
	State    string `json:"state"`
	Draining bool   `json:"draining"` // being decommissioned
	Leaders  int    `json:"leaders"`  // partitions that it leads
	Replicas int    `json:"replicas"` // partitions that it has
}

// Decommission says how far a broker is.
type Decommission struct {
	Broker Broker `json:"broker"`
	// Started is how many replicas were sent away by this request; those of earlier
	// ones may still be on their way.
	Started int `json:"started"`
	// Removed: it was empty and stopped, and the cluster has forgotten it.
	Removed bool `json:"removed"`
}

// RebalanceRequest asks for a more even cluster.
type RebalanceRequest struct {
	DryRun   bool  `json:"dry_run"`             // only say what would be done
	MaxMoves int   `json:"max_moves,omitempty"` // replicas on their way at a time; 0: the broker's default
	MaxBytes int64 `json:"max_bytes,omitempty"` // of logs to copy; 0: no limit
}

// Rebalance answers it.
type Rebalance struct {
	Moves   []ReplicaMove `json:"moves"`
	Leaders []LeaderMove  `json:"leaders"`
	// Applied is how many of them were begun, the others having been overtaken by
	// other changes; 0 in a dry run.
	Applied int `json:"applied"`
}

// ReplicaMove is a replica that goes from one broker to another.
type ReplicaMove struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	From      int32   `json:"from"`
	To        int32   `json:"to"`
	Replicas  []int32 `json:"replicas"` // of the partition when it is done
	Bytes     int64   `json:"bytes"`    // of the log to copy, as far as known to the broker that answers
}

// LeaderMove is a leadership that goes to another replica, which copies nothing.
type LeaderMove struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int32  `json:"from"`
	To        int32  `json:"to"`
}
