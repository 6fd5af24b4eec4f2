//go:build unix && !linux

package child

import "syscall"

// attributes keeps the terminal's signals from the child. There is no service that ends it with its parent.
func attributes(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	if a == nil {
		a = &syscall.SysProcAttr{}
	}
	a.Setpgid = true
	return a
}
