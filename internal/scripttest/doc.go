// Package scripttest runs script tests: files that say what is done and what comes of it,
// which a reader who knows no Go can follow. Tests import it, and nothing else.
//
//	# A line like this is a comment.
//
//	begin start=7             ─┐ commands: a name, words, name=value
//	fetch a 5-9                │
//	----                      ─┘ the end of the commands
//	a: 5-9 delivery 1         ─┐ what they printed,
//	                          ─┘ up to the next empty line
//
// A file is blocks with an empty line between them. A block of comments alone has no output.
// Each file is a test of its own with a state of its own, in which its commands run one
// after the other. The test fails when the file would be written differently; with -rewrite
// it is written, and the change is for whoever reads the diff to accept.
//
// # What it does not do
//
// It knows no command: those, and the README.md beside the scripts that explains them, are
// the package's whose tests they are. Output has no empty lines.
//
// # Concurrency
//
// The files of a package run one after the other; a Script belongs to its test's goroutine.
package scripttest
