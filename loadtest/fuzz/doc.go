// Fuzz runs every fuzz target of the module for a while, one after the other, and writes
// down what ran for how long: make fuzz-campaign.
//
//	go run ./loadtest/fuzz [-time 2m] [-only REGEXP] [-not REGEXP] [-out FILE]
//
// A target is a function FuzzXxx(f *testing.F) of any package. Its package is built once,
// with the engine's instrumentation; each target is then a process of its own, with one
// worker for each processor that GOMAXPROCS allows. The result of each is one JSON line,
// appended to the file as soon as it is there:
//
//	{"package":"./wal","target":"FuzzFrame","seconds":120.3,"cpu_seconds":118.9,"executions":1843220,
//	 "interesting":12,"peak_bytes":181403648,"ok":true,"commit":"…","at":"2026-11-28T20:00:00Z"}
//
// Targets that the file already has as ok are passed over, so that a campaign which was
// interrupted goes on where it was. An input that fails is kept by the engine in the
// package's testdata/fuzz, where every go test runs it; the campaign goes on, and its exit
// status is 1.
package main
