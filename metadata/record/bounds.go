package record

// Bounds of commands and of the state. They keep one command inside one Raft
// message, one state record inside one snapshot frame, and the state of one
// partition, topic or broker at a published size.
const (
	// MaxSize is the largest encoded command in bytes: a batch of commands
	// must fit the memory of a follower, and one fsync.
	MaxSize = 512 << 10
	// MaxHot is the largest number of segments in Ledger.Hot; a commit beyond
	// it is refused until older ones are spilled.
	MaxHot = 256
	// MaxCommitEntries is the largest number of entries in one CommitUpload or Spill.
	MaxCommitEntries = 500
	// MaxIntents is how many uploads one broker may have open: it bounds the
	// objects that a crash can orphan.
	MaxIntents = 1024
	// MaxTopicName is the longest topic name in bytes, as in Kafka.
	MaxTopicName = 249
	// MaxGroupID is the longest group id that can have settings, in bytes, and
	// MaxGroupConfigs how many groups can.
	MaxGroupID      = 1024
	MaxGroupConfigs = 10_000
	// MaxPartitions is the largest number of partitions of one topic.
	MaxPartitions = 1 << 20
	// MaxReplicas is the largest replication factor.
	MaxReplicas = 64
	// MaxConfigs and MaxConfigBytes bound the settings of one topic or broker.
	MaxConfigs     = 512
	MaxConfigBytes = 128 << 10
	// MaxProducerIDs is the largest producer id block.
	MaxProducerIDs = 1 << 20
	// MaxACLs and MaxGrants are how many bindings and grants there can be: each
	// is in memory, and looked at when a principal is new to a broker.
	MaxACLs   = 100_000
	MaxGrants = 100_000
	// MaxRoles is how many roles there can be, MaxRoleACLs how many bindings one
	// can have, MaxRoleName and MaxRoleDescription the longest texts in bytes.
	MaxRoles           = 1000
	MaxRoleACLs        = 1000
	MaxRoleName        = 255
	MaxRoleDescription = 1024
	// MaxResourceName is the longest name in a binding, in bytes: that of a group.
	MaxResourceName = MaxGroupID
	// MaxPrincipal is the longest principal, user or client id in bytes:
	// distinguished names of certificates are long.
	MaxPrincipal = 1024
	// MaxScram is how many credentials there can be, MaxScramSalt the longest
	// salt in bytes.
	MaxScram     = 100_000
	MaxScramSalt = 255
	// MaxQuotas is how many entities can have quotas, MaxQuotaValues how many one
	// can have, MaxQuotaKey the longest name of a quota in bytes.
	MaxQuotas      = 100_000
	MaxQuotaValues = 32
	MaxQuotaKey    = 255
	// MaxTokens is how many delegation tokens there can be, MaxRenewers how many
	// may renew one, MaxTokenID the longest id in bytes.
	MaxTokens   = 100_000
	MaxRenewers = 128
	MaxTokenID  = 255
	// MaxSubscriptions is how many subscriptions to the metrics of clients there
	// can be, MaxSubscriptionName the longest name in bytes.
	MaxSubscriptions    = 1000
	MaxSubscriptionName = 249
	// MaxFeatures is the largest number of feature levels.
	MaxFeatures = 64
	// MaxBrokers is the largest number of registered brokers.
	MaxBrokers = 4096

	maxString     = 32 << 10 // one string
	maxList       = 1 << 17  // any list; the remaining bytes bound it further
	maxEndpoints  = 64
	maxHost       = 255
	maxScramKey   = 64 // SHA-512
	maxQuotaParts = 3
)
