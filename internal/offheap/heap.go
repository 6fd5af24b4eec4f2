package offheap

import "unsafe"

const pageBytes = 4096

// alignedHeap returns memory of the collected heap that starts at a page.
func alignedHeap(size int) []byte {
	b := make([]byte, size+pageBytes)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (pageBytes - 1)
	return b[skip : skip+size : skip+size]
}
