// Package linear tests whether metadata operations of a cluster are linearizable: clients create and delete topics, add
// partitions and change a setting, all at once and through any broker, others look at the result, and a checker (porcupine)
// looks for one order of all operations that explains every answer.
//
// # What is promised
//
//   - Writes are linearizable, and so is what their answers say of the state: that a topic exists already, or does not, or has as
//     many partitions. Between its request and its answer each write took effect at one instant, and all brokers agree on the order.
//   - Reads may be stale: Metadata and DescribeConfigs are answered by any broker from the image that it has. They are monotonic:
//     once a broker has shown a state, it never shows an earlier one of the same topic, to whichever client, and not after
//     its restart either. They show only states that existed, and none of the future.
//
// Apache Kafka in KRaft mode is meant to keep the same promises, so the test runs there, too.
//
// # How
//
// Each topic is a history of its own: a name, used for a bounded number of operations and then not again. The model keeps all states
// that the topic has had, and for each broker which of them it has shown last. A read is a step that moves the broker's
// place forward, to the first state that fits; because the creation and every change of the setting write a number that was
// never used before, little fits twice.
//
//	states   absent ─► 3 partitions, n=17 ─► 3, n=18 ─► 6, n=18 ─► absent ─► …
//	shown                  ▲ broker 2           ▲ broker 1
//
// An operation without an answer may have taken effect at any time since, or never: it stays open to the end. A request that
// certainly did not arrive is left out. Nothing is retried, neither here nor by the client.
//
// # What it refuses
//
// More operations than are wanted of a name, and names on which many operations stay open: the search is exponential in those.
// A history that cannot be decided in the time given is neither well nor ill, and said to be so.
package linear
