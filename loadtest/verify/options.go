package verify

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Acks is how many replicas a producer waits for.
type Acks string

// A write that nobody acknowledges promises nothing, so there is no third one.
const (
	AcksAll    Acks = "all"
	AcksLeader Acks = "leader"
)

// Options describe a run. The zero value of a field means what is said beside it.
type Options struct {
	Brokers           []string
	Dir               string // where the histories go; it must not hold a run
	Topic             string // "verify-" and the beginning of the run's id; it must not exist
	Partitions        int32  // 6
	ReplicationFactor int16  // what the cluster gives
	MinInSync         int    // what the cluster gives
	TopicConfigs      map[string]string

	Producers     int           // 4
	Rate          float64       // records per second, all producers together; 1,000
	Records       int64         // after which the producers stop, all together; until Stop
	RecordBytes   int           // of a value; 256
	Acks          Acks          // AcksAll
	NotIdempotent bool          // duplicates are allowed
	Compression   string        // none, gzip, snappy, lz4 or zstd; none
	GiveUp        time.Duration // after which a record is given up; never

	ClientReaders int           // readers with a whole Kafka client; -1: none; 1
	RawReaders    int           // readers that ask for themselves, and see every answer; -1: none; 1
	Gaps          bool          // offsets may be left out: somebody else writes transactions to the topic
	Drain         time.Duration // how long Stop waits for acknowledgements and for the readers; a minute
	ReadWithin    time.Duration // how long a reading from the beginning may take without getting on; a minute
	Explain       int           // violations of each class that are explained; 10
	Command       string        // how to repeat the run, for the results

	Client []kgo.Opt // for every client: TLS, SASL, a dialer
}

const (
	maxProducers  = 1000
	maxReaders    = 100
	maxPartitions = 1000 // a raw reader has a connection for each
	maxRate       = 1e6
)

func (o *Options) complete() error {
	set := func(where *int, value int) {
		if *where == 0 {
			*where = value
		}
	}
	if o.Partitions == 0 {
		o.Partitions = 6
	}
	if o.Rate == 0 {
		o.Rate = 1000
	}
	if o.Acks == "" {
		o.Acks = AcksAll
	}
	if o.Compression == "" {
		o.Compression = "none"
	}
	if o.ReplicationFactor == 0 {
		o.ReplicationFactor = -1
	}
	set(&o.Producers, 4)
	set(&o.RecordBytes, 256)
	set(&o.ClientReaders, 1)
	set(&o.RawReaders, 1)
	set(&o.Explain, 10)
	for _, d := range []*time.Duration{&o.Drain, &o.ReadWithin} {
		if *d == 0 {
			*d = time.Minute
		}
	}
	_, known := codecs[o.Compression]
	switch {
	case len(o.Brokers) == 0:
		return fmt.Errorf("no brokers are given")
	case o.Dir == "":
		return fmt.Errorf("no directory is given")
	case o.Partitions < 1 || o.Partitions > maxPartitions:
		return fmt.Errorf("value out of bounds partitions=%d min=1 max=%d", o.Partitions, maxPartitions)
	case o.Producers < 1 || o.Producers > maxProducers:
		return fmt.Errorf("value out of bounds producers=%d min=1 max=%d", o.Producers, maxProducers)
	case o.ClientReaders > maxReaders || o.RawReaders > maxReaders:
		return fmt.Errorf("value out of bounds readers=%d max=%d", max(o.ClientReaders, o.RawReaders), maxReaders)
	case o.Rate < 0.01 || o.Rate > maxRate:
		return fmt.Errorf("value out of bounds rate=%v min=0.01 max=%v", o.Rate, maxRate)
	case o.RecordBytes < MinRecordBytes || o.RecordBytes > MaxRecordBytes:
		return fmt.Errorf("value out of bounds record.bytes=%d min=%d max=%d", o.RecordBytes, MinRecordBytes, MaxRecordBytes)
	case o.Acks != AcksAll && o.Acks != AcksLeader:
		return fmt.Errorf("unknown acks=%q allowed=all,leader", o.Acks)
	case o.Acks == AcksLeader && !o.NotIdempotent:
		return fmt.Errorf("an idempotent producer waits for all in-sync replicas acks=%s", o.Acks)
	case !known:
		return fmt.Errorf("unknown compression=%q allowed=none,gzip,snappy,lz4,zstd", o.Compression)
	}
	return nil
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}
