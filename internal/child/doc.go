// Package child runs programs that end with the program that started them: brokers and object stores beside a test, a
// benchmark or a demo. The product never needs it.
//
// What it refuses: to leave anything running. Where the kernel has such a service (Linux) it kills the child when its parent is
// gone, whatever ended that. A child has no share in the terminal's Ctrl-C: who started it decides in which order all end.
//
// The methods of a Process may be called from several goroutines.
package child
