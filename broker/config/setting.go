package config

import "strings"

// Type is the type of a setting's value. The numbers are those that the
// DescribeConfigs response has on the wire.
type Type int8

// The types of values.
const (
	Bool     Type = 1
	String   Type = 2
	Int      Type = 3 // 32 bits
	Short    Type = 4 // 16 bits
	Long     Type = 5 // 64 bits
	Double   Type = 6
	List     Type = 7 // separated by commas
	Class    Type = 8 // the name of a class in Kafka; here one of the names that mean something
	Password Type = 9 // never shown
)

// String returns the type's name as the documentation writes it.
func (t Type) String() string {
	switch t {
	case Bool:
		return "boolean"
	case String:
		return "string"
	case Int:
		return "int"
	case Short:
		return "short"
	case Long:
		return "long"
	case Double:
		return "double"
	case List:
		return "list"
	case Class:
		return "class"
	case Password:
		return "password"
	}
	return "unknown"
}

// Source tells which layer a value came from. The numbers are those that the
// DescribeConfigs response has on the wire; a lower one
// wins over a higher, but for that of a group, which wins over a broker's.
type Source int8

// The layers that a value may come from.
const (
	SourceTopic                Source = 1
	SourceDynamicBroker        Source = 2
	SourceDynamicDefaultBroker Source = 3
	SourceStaticBroker         Source = 4
	SourceDefault              Source = 5
	SourceLogger               Source = 6
	SourceClientMetrics        Source = 7
	SourceGroup                Source = 8
)

// String returns the layer's name as Kafka's tools print it.
func (s Source) String() string {
	switch s {
	case SourceTopic:
		return "DYNAMIC_TOPIC_CONFIG"
	case SourceDynamicBroker:
		return "DYNAMIC_BROKER_CONFIG"
	case SourceDynamicDefaultBroker:
		return "DYNAMIC_DEFAULT_BROKER_CONFIG"
	case SourceStaticBroker:
		return "STATIC_BROKER_CONFIG"
	case SourceDefault:
		return "DEFAULT_CONFIG"
	case SourceLogger:
		return "DYNAMIC_BROKER_LOGGER_CONFIG"
	case SourceClientMetrics:
		return "DYNAMIC_CLIENT_METRICS_CONFIG"
	case SourceGroup:
		return "DYNAMIC_GROUP_CONFIG"
	}
	return "UNKNOWN"
}

// Update tells when a broker's value may be changed.
type Update int8

// The ways in which a broker's value may be changed.
const (
	ReadOnly    Update = iota // at start only
	PerBroker                 // while running, for one broker or for all
	ClusterWide               // while running, for all brokers
)

// String returns the update mode's name as Kafka's documentation writes it.
func (u Update) String() string {
	switch u {
	case PerBroker:
		return "per-broker"
	case ClusterWide:
		return "cluster-wide"
	case ReadOnly:
		return "read-only"
	}
	return "unknown"
}

// Setting is one row of the table.
type Setting struct {
	// Key is the broker's name for the setting; empty when only topics have it.
	Key string
	// TopicKey is the topic's name for it; empty when only brokers have it.
	TopicKey string
	// GroupKey is a consumer group's name for it; empty when groups do not have it. A group's
	// value lies between those of GroupMin and GroupMax, keys of the broker, where they are given.
	GroupKey           string
	GroupMin, GroupMax string
	Type               Type
	// Default is the canonical text of the default. Empty means none (null but
	// for lists), unless Auto or Blank is set.
	Default string
	// Blank says that an empty text is a value like any other.
	Blank bool
	// Auto describes the default that depends on the machine or on other keys;
	// the value is computed by auto.
	Auto string
	auto func(m Machine, get func(key string) string) string
	// Allowed checks values and says in words what passes.
	Allowed Allowed
	// PerListener rows may be given for one listener, PerMechanism ones also for one SASL
	// mechanism of it; see parseListenerKey.
	PerListener, PerMechanism bool
	// Update tells when a broker's value may be changed. Topic overrides may be
	// changed at any time.
	Update Update
	// Sensitive values are never shown.
	Sensitive bool
	// NoEffect marks a setting that is accepted, kept and returned, because
	// clients and tools of the ecosystem set it, but that changes nothing.
	NoEffect bool
	// Later marks a setting whose part of the broker is not in this release: it
	// is accepted, kept and returned, and nothing reads it yet.
	Later bool
	// Coarse names the row for which this one is another spelling, Factor the
	// multiple that it stands for: log.retention.hours is log.retention.ms
	// times 3,600,000. The finer key wins when both are given.
	Coarse string
	Factor int64
	// Doc is what the operator reads.
	Doc string
}

// Size reports whether the value counts bytes, so that a broker's file may
// write it with a unit (64MiB).
func (s *Setting) Size() bool {
	if s.Type != Int && s.Type != Long {
		return false
	}
	return strings.HasSuffix(s.name(), ".bytes") || strings.HasSuffix(s.name(), ".buffer.size")
}

// name returns the key by which errors name the row when no level is known.
func (s *Setting) name() string {
	switch {
	case s.Key != "":
		return s.Key
	case s.TopicKey != "":
		return s.TopicKey
	}
	return s.GroupKey
}

var (
	byBrokerKey = map[string]*Setting{}
	byTopicKey  = map[string]*Setting{}
	byGroupKey  = map[string]*Setting{}
	settings    []Setting
)

func init() {
	for _, group := range groups {
		settings = append(settings, group.Settings...)
	}
	for i := range settings {
		s := &settings[i]
		if s.Key != "" {
			byBrokerKey[s.Key] = s
		}
		if s.TopicKey != "" {
			byTopicKey[s.TopicKey] = s
		}
		if s.GroupKey != "" {
			byGroupKey[s.GroupKey] = s
		}
	}
}

// Settings returns the table, in the order of the documentation. The caller
// must not change it.
func Settings() []Setting { return settings }

// LookupBroker returns the row with this broker key, which may be that of one listener.
func LookupBroker(key string) (*Setting, bool) { return brokerRow(key) }

// LookupTopic returns the row with this topic key.
func LookupTopic(key string) (*Setting, bool) {
	s, ok := byTopicKey[key]
	return s, ok
}

// LookupGroup returns the row with this group key.
func LookupGroup(key string) (*Setting, bool) {
	s, ok := byGroupKey[key]
	return s, ok
}
