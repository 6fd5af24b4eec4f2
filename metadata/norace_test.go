//go:build !race

package metadata

// raceEnabled says that times mean nothing.
const raceEnabled = false
