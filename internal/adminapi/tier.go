package adminapi

// Paths of the admin API.
const (
	TierStatusPath = "/v1/tier/status"
	TierVerifyPath = "/v1/tier/verify"
)

// TierStatus is what lies in the object store, as the ledger says.
type TierStatus struct {
	ObjectStore    string          `json:"object_store"` // URL, without credentials
	Objects        int64           `json:"objects"`      // objects that something refers to
	StoredBytes    int64           `json:"stored_bytes"` // what they take up
	LogBytes       int64           `json:"log_bytes"`    // record batches in them, as Kafka counts
	GarbageObjects int64           `json:"garbage_objects"`
	GarbageBytes   int64           `json:"garbage_bytes"`
	OpenUploads    int64           `json:"open_uploads"`
	PendingBytes   int64           `json:"pending_bytes"` // in the WAL, not uploaded yet
	Partitions     []TierPartition `json:"partitions"`
}

// TierPartition is one partition's part of it. Offsets are exclusive ends, -1
// when not known to the broker that answers.
type TierPartition struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	LogStart    int64  `json:"log_start_offset"`
	TieredEnd   int64  `json:"tiered_end_offset"`
	CleanedEnd  int64  `json:"cleaned_end_offset"` // compaction has been over all below
	End         int64  `json:"high_watermark"`
	Segments    int64  `json:"segments"`
	StoredBytes int64  `json:"stored_bytes"`
	LogBytes    int64  `json:"log_bytes"`
}

// VerifyEvent is one line of a verification. Counts are totals since it began.
type VerifyEvent struct {
	Segments      int64        `json:"segments"`       // verified
	TotalSegments int64        `json:"total_segments"` // to verify; 0 when not known yet
	Bytes         int64        `json:"bytes"`          // read from the object store
	Faults        int64        `json:"faults"`
	Fault         *VerifyFault `json:"fault,omitempty"`   // one that was just found
	Failure       string       `json:"failure,omitempty"` // why the verification could not go on
	Done          bool         `json:"done"`
}

// VerifyFault is one thing in the bucket that is not what the ledger says.
type VerifyFault struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Object    string `json:"object"` // key
	Base      int64  `json:"base_offset"`
	End       int64  `json:"end_offset"`
	Problem   string `json:"problem"`
}
