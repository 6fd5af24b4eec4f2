// Package vfstest is the acceptance suite of vfs.FS: what every implementation must do, the real one included.
package vfstest
