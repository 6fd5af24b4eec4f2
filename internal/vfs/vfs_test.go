package vfs_test

import (
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/vfstest"
)

func TestOS(t *testing.T) { vfstest.Run(t, vfs.OS(), t.TempDir()) }

func TestAlignedBuffer(t *testing.T) {
	for _, n := range []int{vfs.BlockSize, 5 * vfs.BlockSize, 1 << 20} {
		if b := vfs.AlignedBuffer(n); len(b) != n || !vfs.Aligned(b, 0) {
			t.Fatalf("buffer of %d is not aligned", n)
		}
	}
	if b := vfs.AlignedBuffer(vfs.BlockSize); vfs.Aligned(b[:5], 0) || vfs.Aligned(b, 1) {
		t.Fatal("an unaligned access passes")
	}
}
