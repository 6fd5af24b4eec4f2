package offheap

import "golang.org/x/sys/unix"

// hugeBytes is from where huge pages are asked for: they take one fault for 512, and direct I/O pins them faster.
const hugeBytes = 2 << 20

func mapMemory(size int) ([]byte, bool) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, false
	}
	if size >= hugeBytes {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a wish: kernels without huge pages refuse it
	}
	return b, true
}

func unmapMemory(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic("offheap: unmap: " + err.Error()) // not a mapping of ours
	}
}
