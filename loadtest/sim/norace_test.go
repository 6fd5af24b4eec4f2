//go:build !race

package sim

// raceEnabled says that the race detector is on, under which a run takes ten times as long.
const raceEnabled = false
