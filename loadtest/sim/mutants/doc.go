// Mutants proves that the simulation finds what it is there to find: it breaks the product in
// ways that have been made elsewhere, one at a time, and runs seeds until the checks notice.
//
//	go run ./loadtest/sim/mutants [-seeds 20] [NAME …]
//
// A mutant is a file in testdata: what it is, the file that it changes, what is replaced and
// by what. The change is laid over the source by the compiler (go build -overlay), so that
// the product has no hook for it. A text that is no longer in the source is an error: the
// mutant must follow the code.
//
//	# the leader acknowledges what only its own disk has
//	# plan: power
//	broker/partition/acks.go
//	<<<<
//	old text, once in the file
//	====
//	new text
//	>>>>
//
// The plan names one of the storms of the simulation that the mutant is run in. The exit
// status is 0 when every mutant was noticed.
package main
