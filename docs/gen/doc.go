// Command gen writes docs/formats.md: the byte formats of all packages, taken
// from the pages and the comments that stand above their encoders, so that a
// drawing exists once. It is run from the root of the repository, with the
// directory to write to as its argument; see `make gen`.
package main
