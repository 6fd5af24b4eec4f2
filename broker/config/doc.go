// Package config is the table of Tideline's settings and the way in for their
// values.
//
// # One flat table
//
// Every setting is one row of Settings: its key, its type, its default, what
// it allows, who may change it and when, and a sentence for the operator. A
// key that Kafka has keeps Kafka's name, meaning and, where a resource budget
// does not forbid it, Kafka's default. A row may have two names, one for the
// broker (log.retention.ms) and one for the topic (retention.ms): the broker's
// value is then the default of every topic that does not say otherwise.
//
// # Listeners
//
// Rows that are marked so may be given for one listener, and some for one SASL mechanism of
// it; the narrowest key that is given counts:
//
//	listener.name.<name>.<mechanism>.<key>   names and mechanisms in lower case
//	listener.name.<name>.<key>
//	<key>
//
// # Layers
//
// Load puts layers on top of one another; the higher one wins:
//
//	dynamic, this broker   ┐ AlterConfigs; see Config.WithDynamic
//	dynamic, all brokers   ┘
//	--set key=value        ┐
//	environment            │ the static layers
//	YAML file              │
//	preset of the command  ┘ (tideline dev has one)
//	default of the table, or a size taken from the machine
//
// A key is written in the environment as TIDELINE_ followed by the key in upper
// case with underscores for dots: node.id is TIDELINE_NODE_ID. In YAML a
// key may be written whole (node.id: 1) or nested (node: {id: 1}).
//
// # Refusals
//
// A key that the table does not have, and a value that its row does not allow,
// stop the start. The error names the key, the value, where it was written,
// what is allowed and, for an unknown key, the nearest known one. All faults
// are reported at once, on one line.
//
// A stored topic override is treated the other way: Config.Topic never fails,
// because a broker must open every partition it has, also one whose override
// was written by another release. ValidateTopic is the strict door that
// overrides pass when they are created or altered.
//
// # Invariants
//
//   - A Config is immutable once Load or WithDynamic has returned it, and may be
//     shared between goroutines. A change makes a new Config.
//   - Each field of Config and TopicConfig is bound to exactly one row of the
//     table and holds a value which that row allows.
//   - Values of sensitive rows appear neither in errors nor in Entry.Value.
//   - docs/configuration.md is written from the table; `make gen-check` fails
//     when it is out of date.
package config
