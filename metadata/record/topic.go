package record

// CreateTopic makes a topic with one partition per assignment. The in-sync
// replicas are those of unfenced brokers, the leader is the first of them.
type CreateTopic struct {
	ID          ID
	Name        string
	Configs     Configs
	Assignments [][]int32 // replicas of partition i, preferred leader first
	At          int64     // Unix milliseconds
}

// Type implements Command.
func (*CreateTopic) Type() Type { return TypeCreateTopic }

func (c *CreateTopic) code(k *coder, _ uint8) {
	k.id(&c.ID)
	k.str(&c.Name, MaxTopicName)
	k.configs(&c.Configs)
	codeAssignments(k, &c.Assignments)
	k.i64(&c.At)
}

func codeAssignments(k *coder, a *[][]int32) {
	list(k, a, MaxPartitions, 1, func(k *coder, r *[]int32) { k.replicas(r) })
}

// DeleteTopic removes a topic. Ledgers with remote data go to a purge entry
// that the tiering worker works off.
type DeleteTopic struct {
	ID ID
	At int64 // Unix milliseconds
}

// Type implements Command.
func (*DeleteTopic) Type() Type { return TypeDeleteTopic }

func (c *DeleteTopic) code(k *coder, _ uint8) {
	k.id(&c.ID)
	k.i64(&c.At)
}

// CreatePartitions grows a topic that has exactly From partitions.
type CreatePartitions struct {
	Topic       ID
	From        int32
	Assignments [][]int32 // replicas of partition From+i
}

// Type implements Command.
func (*CreatePartitions) Type() Type { return TypeCreatePartitions }

func (c *CreatePartitions) code(k *coder, _ uint8) {
	k.id(&c.Topic)
	k.i32(&c.From)
	codeAssignments(k, &c.Assignments)
}

// SetTopicConfig changes settings of a topic. Append and subtract operations
// of the protocol are resolved before it is proposed.
type SetTopicConfig struct {
	Topic   ID
	Changes []ConfigChange
}

// Type implements Command.
func (*SetTopicConfig) Type() Type { return TypeSetTopicConfig }

func (c *SetTopicConfig) code(k *coder, _ uint8) {
	k.id(&c.Topic)
	list(k, &c.Changes, MaxConfigs, 3, codeConfigChange)
}

func codeConfigChange(k *coder, c *ConfigChange) {
	k.str(&c.Key, maxString)
	k.str(&c.Value, maxString)
	k.bool(&c.Delete)
}

// SetBrokerConfig changes dynamic settings of a broker, or with DefaultBroker
// those of all brokers.
type SetBrokerConfig struct {
	Broker  int32
	Changes []ConfigChange
}

// SetGroupConfig changes settings of a consumer group, which need not be there.
type SetGroupConfig struct {
	Group   string
	Changes []ConfigChange
}

// Type implements Command.
func (*SetGroupConfig) Type() Type { return TypeSetGroupConfig }

func (c *SetGroupConfig) code(k *coder, _ uint8) {
	k.str(&c.Group, MaxGroupID)
	list(k, &c.Changes, MaxConfigs, 3, codeConfigChange)
}

// DefaultBroker stands for all brokers in SetBrokerConfig.
const DefaultBroker int32 = -1

// Type implements Command.
func (*SetBrokerConfig) Type() Type { return TypeSetBrokerConfig }

func (c *SetBrokerConfig) code(k *coder, _ uint8) {
	k.i32(&c.Broker)
	list(k, &c.Changes, MaxConfigs, 3, codeConfigChange)
}
