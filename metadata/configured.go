package metadata

import "iter"

// ConfiguredGroups iterates over the groups that have settings of their own, in order.
func (m *Image) ConfiguredGroups() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.groupConfigs.Scan(func(group string, _ Configs) bool { return yield(group) })
	}
}
