package child

import "syscall"

// attributes has the kernel kill the child when the thread that made it is gone, and keeps the terminal's signals from it.
func attributes(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	if a == nil {
		a = &syscall.SysProcAttr{}
	}
	a.Pdeathsig, a.Setpgid = syscall.SIGKILL, true
	return a
}
