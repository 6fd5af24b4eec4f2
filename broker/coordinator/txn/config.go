package txn

import (
	"fmt"
	"time"
)

// Config is what decides about transactions. The names in the comments are Kafka's keys.
type Config struct {
	// Partitions of __transaction_state: transaction.state.log.num.partitions.
	Partitions int32
	// MaxTimeout bounds the time-out that a producer may ask for: transaction.max.timeout.ms.
	MaxTimeout time.Duration
	// AbortInterval is how often transactions are aborted that ran out of time:
	// transaction.abort.timed.out.transaction.cleanup.interval.ms.
	AbortInterval time.Duration
	// Expiration is how long a transactional id is kept that nobody uses:
	// transactional.id.expiration.ms.
	Expiration time.Duration
	// ExpirationInterval is how often such ids are looked for:
	// transaction.remove.expired.transaction.cleanup.interval.ms.
	ExpirationInterval time.Duration
	// MaxIDs bounds the transactional ids of one partition.
	MaxIDs int
	// MaxIDBytes bounds a transactional id.
	MaxIDBytes int
	// MaxPartitions bounds the partitions of one transaction: all that a record of
	// __transaction_state may name.
	MaxPartitions int
}

// Defaults are Kafka's where Kafka has the setting. It has no bound on ids and partitions.
func Defaults() Config {
	return Config{
		Partitions:         50,
		MaxTimeout:         15 * time.Minute,
		AbortInterval:      10 * time.Second,
		Expiration:         7 * 24 * time.Hour,
		ExpirationInterval: time.Hour,
		MaxIDs:             100_000,
		MaxIDBytes:         4096,
		MaxPartitions:      50_000,
	}
}

// Validate says what is wrong with c, if anything.
func (c *Config) Validate() error {
	switch {
	case c.Partitions < 1:
		return fmt.Errorf("transaction.state.log.num.partitions must be at least 1, value=%d", c.Partitions)
	case c.MaxTimeout <= 0 || c.AbortInterval <= 0 || c.Expiration <= 0 || c.ExpirationInterval <= 0:
		return fmt.Errorf("times of transactions must be positive: transaction.max.timeout.ms=%v abort interval=%v transactional.id.expiration.ms=%v removal interval=%v",
			c.MaxTimeout, c.AbortInterval, c.Expiration, c.ExpirationInterval)
	case c.MaxIDs < 1 || c.MaxIDBytes < 1 || c.MaxPartitions < 1:
		return fmt.Errorf("bounds of transactions must be positive: ids=%d id bytes=%d partitions=%d", c.MaxIDs, c.MaxIDBytes, c.MaxPartitions)
	}
	return nil
}
