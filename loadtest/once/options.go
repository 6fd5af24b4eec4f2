package once

import (
	"errors"
	"fmt"
	"time"
)

// Options of a run.
type Options struct {
	Brokers []string
	// Dir takes the workers' journals; it is to be empty.
	Dir string
	// Name is what the names of topics, group and transactional ids begin with.
	Name string
	// Partitions of each topic, and their replicas; MinInSync is min.insync.replicas.
	Partitions        int32
	ReplicationFactor int16
	MinInSync         int
	// Workers is how many transactional ids there are.
	Workers int
	// Rate is how many inputs are written a second.
	Rate float64
}

func (o *Options) validate() error {
	switch {
	case len(o.Brokers) == 0:
		return errors.New("no brokers")
	case o.Dir == "" || o.Name == "":
		return errors.New("directory and name are required")
	case o.Partitions < 1 || o.Workers < 1 || o.Workers > maxWorkers:
		return fmt.Errorf("partitions=%d workers=%d, allowed are 1 and more, and 1 to %d", o.Partitions, o.Workers, maxWorkers)
	case o.Rate <= 0:
		return fmt.Errorf("rate=%v must be above 0", o.Rate)
	}
	return nil
}

// maxWorkers bounds the processes of a run.
const maxWorkers = 64

func (o *Options) input() string { return o.Name + "-in" }
func (o *Options) hot() string   { return o.Name + "-hot" }
func (o *Options) cold() string  { return o.Name + "-cold" }
func (o *Options) group() string { return o.Name }

// Worker is what one process is told. It goes over the environment as JSON.
type Worker struct {
	Brokers                 []string
	Group, Input, Hot, Cold string
	TransactionalID         string
	// Attempt names the process; Journal is the file that it appends to.
	Attempt, Journal string
	Seed             uint64
}

const (
	// sessionTimeout is the shortest that brokers allow by default.
	sessionTimeout = 6 * time.Second
	// transactionTimeout bounds how long a worker that was killed holds up the readers.
	transactionTimeout = 10 * time.Second
	// abortOneIn of the attempts is aborted on purpose.
	abortOneIn = 5
	// maxPoll bounds the inputs of one transaction.
	maxPoll = 200
)
