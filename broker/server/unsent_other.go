//go:build !linux

package server

import "net"

// boundUnsent does nothing where the system bounds what it keeps well enough by itself, or cannot be told.
func boundUnsent(*net.TCPConn) error { return nil }
