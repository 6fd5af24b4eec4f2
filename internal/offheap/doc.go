// Package offheap gives large buffers that the garbage collector does not see.
//
// A broker's caches are most of its memory, live long, and are counted by reference. On the collected heap they would cost
// twice: the collector lets the heap grow to a multiple of what lives before it runs. Here a buffer costs what it holds,
// and goes back to the system when it is freed.
//
// # What it refuses
//
// Nothing: where the system has no anonymous mappings, or no more of them, a Block lies on the heap.
//
// # Invariants
//
//   - The bytes of a Block are zero at first and start at a page.
//   - A Block that was lost without Free is freed by the collector. Slices of it do not keep it alive: whoever hands out its
//     bytes hands out the Block, or a count of references to it, with them.
//
// # Concurrency
//
// Alloc may be called by anybody. A Block is freed once, by one goroutine, when nobody uses its bytes any more.
package offheap
