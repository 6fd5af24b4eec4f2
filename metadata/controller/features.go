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

// SupportedFeatures are what this release registers with.
func SupportedFeatures() []record.FeatureRange {
	return []record.FeatureRange{{Name: VersionFeature, Min: OldestVersion, Max: NewestVersion}}
}

// FirstFeatures finalizes the newest level of VersionFeature in a cluster that has none; nil when
// it has one, or when a broker is too old to know any.
func FirstFeatures(m *metadata.Image) *record.FinalizeFeatures {
	if m.FeatureLevel(VersionFeature) > 0 {
		return nil
	}
	level := NewestVersion
	for b := range m.Brokers() {
		known := int32(0)
		for _, f := range b.Features {
			if f.Name == VersionFeature {
				known = f.Max
			}
		}
		level = min(level, known)
	}
	if level < OldestVersion {
		return nil
	}
	return &record.FinalizeFeatures{Updates: []record.Feature{{Name: VersionFeature, Level: level}}}
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
	known := now > 0
	for b := range m.Brokers() {
		i := slices.IndexFunc(b.Features, func(f record.FeatureRange) bool { return f.Name == u.Name })
		known = known || i >= 0
		switch {
		case u.Level == 0: // any broker can do without
		case i < 0:
			return fail("broker %d does not know it", b.ID)
		case u.Level < b.Features[i].Min || u.Level > b.Features[i].Max:
			return fail("broker %d has levels %d to %d", b.ID, b.Features[i].Min, b.Features[i].Max)
		}
	}
	if !known {
		return fail("no broker knows it")
	}
	return nil
}
