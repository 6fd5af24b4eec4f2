// Package archtest holds the layout of the repository to its rules: which way an
// import may point, which folder may use which third-party module, and that
// every package opens with a page that says what it is. It has no code beside
// its tests, which read the source files and build nothing.
//
//	rank 3   cmd  loadtest  docs
//	rank 2   broker
//	rank 1   tiering  metadata  wal      (none imports another)
//	rank 0   internal                    (standard library and compression)
//
// An import may only point to a lower rank, or stay in its own folder. Test files
// may import what they like of the module: a test wires more than its package.
package archtest
