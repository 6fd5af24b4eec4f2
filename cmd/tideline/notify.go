package main

import (
	"fmt"
	"net"
	"strings"
)

// notify tells the service manager that started this process how it is (sd_notify(3)):
// one datagram of NAME=value lines to the socket that NOTIFY_SOCKET names, a path or,
// after @, an abstract name. Without one nobody wants to know. A socket of another
// kind is not for this process, but for a virtual machine.
func (p *program) notify(state ...string) error {
	socket := p.getenv("NOTIFY_SOCKET")
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	_, err = conn.Write([]byte(strings.Join(state, "\n")))
	if failed := conn.Close(); err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
