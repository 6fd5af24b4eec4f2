package server

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much of what a connection is sent the kernel keeps, beside what is on its way. It
// would keep 4 MiB for each peer that takes nothing, which a few hundred such peers turn into
// all the memory that Linux allows for TCP. With less than this a large reply costs more processor time
// (BenchmarkLargeReply). What is on its way is not bounded by this, so a distant peer is served as fast.
const unsentBytes = 512 << 10

func boundUnsent(tcp *net.TCPConn) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var setting error
	err = raw.Control(func(fd uintptr) {
		setting = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
	return errors.Join(err, setting)
}
