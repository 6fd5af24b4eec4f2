package controller

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// VersionFeature is the feature whose level says what the brokers of a cluster may say to one
// another and write: a release that knows more raises its newest level, and does nothing of it
// until the level is finalized, which takes all brokers. So two adjacent releases run together.
const VersionFeature = "tideline.version"

// Levels of VersionFeature that this release knows.
const (
	OldestVersion int32 = 1
	NewestVersion int32 = 1
)

// TransactionVersion is Kafka's feature for transactions: from level 1 on records of
// __transaction_state are flexible, from 2 on clients let the epoch of a producer change
// with each transaction (KIP-890).
const TransactionVersion = "transaction.version"

// StreamsVersion is Kafka's feature for streams groups (KIP-1071), which are there from level 1 on.
const StreamsVersion = "streams.version"

// features are those that this release knows, with the levels that a new cluster begins with: as
// high as all its brokers know. Kafka's features have level 0, which is to be without.
var features = []struct {
	record.FeatureRange
	first int32
}{
	{record.FeatureRange{Name: VersionFeature, Min: OldestVersion, Max: NewestVersion}, NewestVersion},
	{record.FeatureRange{Name: TransactionVersion, Min: 0, Max: 2}, 2},
	{record.FeatureRange{Name: StreamsVersion, Min: 0, Max: 1}, 1},
}

// SupportedFeatures are what this release registers with.
func SupportedFeatures() []record.FeatureRange {
	out := make([]record.FeatureRange, len(features))
	for i := range features {
		out[i] = features[i].FeatureRange
	}
	return out
}

// FirstFeatures finalizes the levels of a new cluster, which has none of VersionFeature; nil when
// it has one, or when a broker is too old to know any. In a cluster that has run before, a
// feature that is new to it waits for whoever runs the cluster.
func FirstFeatures(m *metadata.Image) *record.FinalizeFeatures {
	if m.FeatureLevel(VersionFeature) > 0 {
		return nil
	}
	c := new(record.FinalizeFeatures)
	for i := range features {
		f := &features[i]
		level := f.first
		for b := range m.Brokers() {
			level = min(level, known(b, f.Name))
		}
		if level > 0 && level >= f.Min && m.FeatureLevel(f.Name) == 0 {
			c.Updates = append(c.Updates, record.Feature{Name: f.Name, Level: level})
		} else if f.Name == VersionFeature {
			return nil
		}
	}
	return c
}

// known is the highest level of a feature that a broker knows; 0: none.
func known(b *metadata.Broker, name string) int32 {
	for _, f := range b.Features {
		if f.Name == name {
			return f.Max
		}
	}
	return 0
}

// FeatureUpdate asks for another level of a feature. Level 0 switches it off.
type FeatureUpdate struct {
	Name  string
	Level int32
	Down  bool // the level is to go down; without it, up
}

// UpdateFeatures decides about levels of features, of which all are changed or
// none: ErrInvalidFeature says of one that it can not be. The last of several
// updates of one feature counts. nil means that the levels are as wished.
func UpdateFeatures(m *metadata.Image, updates []FeatureUpdate) (*record.FinalizeFeatures, error) {
	c := new(record.FinalizeFeatures)
	for i := range updates {
		u := &updates[i]
		if slices.ContainsFunc(updates[i+1:], func(later FeatureUpdate) bool { return later.Name == u.Name }) {
			continue
		}
		now := m.FeatureLevel(u.Name)
		if err := checkFeature(m, u, now); err != nil {
			return nil, err
		}
		if u.Level != now {
			c.Updates = append(c.Updates, record.Feature{Name: u.Name, Level: u.Level})
			c.Downgrade = c.Downgrade || u.Down
		}
	}
	if len(c.Updates) == 0 {
		return nil, nil
	}
	if len(c.Updates) > record.MaxFeatures {
		return nil, fmt.Errorf("%w: features=%d max=%d", ErrInvalidFeature, len(c.Updates), record.MaxFeatures)
	}
	return c, nil
}

func checkFeature(m *metadata.Image, u *FeatureUpdate, now int32) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: feature=%s level=%d current=%d: %s", ErrInvalidFeature, u.Name, u.Level, now, fmt.Sprintf(format, args...))
	}
	switch {
	case u.Name == "" || len(u.Name) > 255:
		return fail("not a name")
	case u.Level < 0:
		return fail("levels begin at 0")
	case u.Level < now && !u.Down:
		return fail("a lower level must be asked for as a downgrade")
	case u.Level > now && u.Down:
		return fail("a downgrade can not raise the level")
	}
	isKnown := now > 0
	for b := range m.Brokers() {
		i := slices.IndexFunc(b.Features, func(f record.FeatureRange) bool { return f.Name == u.Name })
		isKnown = isKnown || i >= 0
		switch {
		case u.Level == 0: // any broker can do without
		case i < 0:
			return fail("broker %d does not know it", b.ID)
		case u.Level < b.Features[i].Min || u.Level > b.Features[i].Max:
			return fail("broker %d has levels %d to %d", b.ID, b.Features[i].Min, b.Features[i].Max)
		}
	}
	if !isKnown {
		return fail("no broker knows it")
	}
	return nil
}
