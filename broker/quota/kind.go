package quota

// Kind is what a limit is on.
type Kind uint8

// The kinds of limits.
const (
	Producer Kind = iota
	Consumer
	Request
	Mutation
	Connection
	kinds
)

var keys = [kinds]string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate"}

// Key is the name by which Kafka's tools set a limit of the kind.
func (k Kind) Key() string { return keys[k] }

// label is the kind's name in metrics.
func (k Kind) label() string {
	return [kinds]string{"produce", "fetch", "request", "controller_mutation", "connection"}[k]
}

// KindOf returns the kind with a key.
func KindOf(key string) (Kind, bool) {
	for k := range kinds {
		if keys[k] == key {
			return k, true
		}
	}
	return 0, false
}
