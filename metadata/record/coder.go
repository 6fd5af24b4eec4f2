package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// coder walks the fields of a value in their order of bytes. In one direction
// it appends them to buf, in the other it fills them from buf; so each type
// has a single description. Encoding never writes to the value, which may be
// shared with readers. The first error sticks.
type coder struct {
	buf      []byte
	decoding bool
	err      error
}

func (k *coder) fail(what string) {
	if k.err == nil {
		k.err = fmt.Errorf("%w: %s with %d bytes left", ErrCorrupt, what, len(k.buf))
	}
	k.buf = nil
}

// fixed copies len(p) bytes.
func (k *coder) fixed(p []byte) {
	if !k.decoding {
		k.buf = append(k.buf, p...)
		return
	}
	if len(k.buf) < len(p) {
		k.fail("short field")
		return
	}
	copy(p, k.buf)
	k.buf = k.buf[len(p):]
}

func (k *coder) id(v *ID) { k.fixed(v[:]) }

func (k *coder) u8(v *uint8) {
	if !k.decoding {
		k.buf = append(k.buf, *v)
		return
	}
	if len(k.buf) == 0 {
		k.fail("short byte")
		return
	}
	*v = k.buf[0]
	k.buf = k.buf[1:]
}

func (k *coder) bool(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	k.u8(&b)
	if !k.decoding {
		return
	}
	if b > 1 {
		k.fail("boolean out of range")
	}
	*v = b == 1
}

func (k *coder) crc(v *uint32) {
	if !k.decoding {
		k.buf = binary.LittleEndian.AppendUint32(k.buf, *v)
		return
	}
	if len(k.buf) < 4 {
		k.fail("short checksum")
		return
	}
	*v = binary.LittleEndian.Uint32(k.buf)
	k.buf = k.buf[4:]
}

func (k *coder) u64(v *uint64) {
	if !k.decoding {
		k.buf = binary.AppendUvarint(k.buf, *v)
		return
	}
	n, size := binary.Uvarint(k.buf)
	if size <= 0 || (size > 1 && k.buf[size-1] == 0) { // short, too long, or padded
		k.fail("bad varint")
		return
	}
	*v = n
	k.buf = k.buf[size:]
}

func (k *coder) i64(v *int64) {
	u := uint64(*v<<1) ^ uint64(*v>>63)
	k.u64(&u)
	if k.decoding {
		*v = int64(u>>1) ^ -int64(u&1)
	}
}

func (k *coder) u32(v *uint32) {
	u := uint64(*v)
	k.u64(&u)
	if u > 1<<32-1 {
		k.fail("u32 out of range")
		return
	}
	if k.decoding {
		*v = uint32(u)
	}
}

func (k *coder) i32(v *int32) {
	i := int64(*v)
	k.i64(&i)
	if int64(int32(i)) != i {
		k.fail("i32 out of range")
		return
	}
	if k.decoding {
		*v = int32(i)
	}
}

// since codes v as its distance from base, which is decoded already. The
// arithmetic wraps, so every pair survives.
func (k *coder) since(base int64, v *int64) {
	d := *v - base
	k.i64(&d)
	if k.decoding {
		*v = base + d
	}
}

func (k *coder) str(v *string, max int) {
	n := uint64(len(*v))
	k.u64(&n)
	if n > uint64(max) {
		k.fail("string too long")
		return
	}
	if !k.decoding {
		k.buf = append(k.buf, *v...)
		return
	}
	if n > uint64(len(k.buf)) {
		k.fail("short string")
		return
	}
	*v = string(k.buf[:n])
	k.buf = k.buf[n:]
}

// bytes codes a byte string. An empty one decodes as nil.
func (k *coder) bytes(v *[]byte, max int) {
	n := uint64(len(*v))
	k.u64(&n)
	if n > uint64(max) {
		k.fail("bytes too long")
		return
	}
	if !k.decoding {
		k.buf = append(k.buf, *v...)
		return
	}
	if n > uint64(len(k.buf)) {
		k.fail("short bytes")
		return
	}
	*v = nil
	if n > 0 {
		*v = append(make([]byte, 0, n), k.buf[:n]...)
	}
	k.buf = k.buf[n:]
}

// f64 codes the bits of a floating-point number, little-endian.
func (k *coder) f64(v *float64) {
	if !k.decoding {
		k.buf = binary.LittleEndian.AppendUint64(k.buf, math.Float64bits(*v))
		return
	}
	if len(k.buf) < 8 {
		k.fail("short number")
		return
	}
	*v = math.Float64frombits(binary.LittleEndian.Uint64(k.buf))
	k.buf = k.buf[8:]
}

// list codes a slice. Each item takes at least min bytes, which bounds what a
// forged count can allocate. An empty list decodes as nil.
func list[T any](k *coder, v *[]T, max, min int, item func(*coder, *T)) {
	n := uint64(len(*v))
	k.u64(&n)
	items(k, v, n, max, min, item)
}

// optional is list for slices where absent (nil) and empty differ.
func optional[T any](k *coder, v *[]T, max, min int, item func(*coder, *T)) {
	var n uint64
	if *v != nil {
		n = uint64(len(*v)) + 1
	}
	k.u64(&n)
	if n == 0 {
		if k.decoding {
			*v = nil
		}
		return
	}
	items(k, v, n-1, max, min, item)
	if k.decoding && n == 1 && k.err == nil {
		*v = []T{}
	}
}

func items[T any](k *coder, v *[]T, n uint64, max, min int, item func(*coder, *T)) {
	if k.err != nil {
		return
	}
	if n > uint64(max) || k.decoding && n*uint64(min) > uint64(len(k.buf)) {
		k.fail("list too long")
		return
	}
	if k.decoding {
		*v = nil
		if n > 0 {
			*v = make([]T, n)
		}
	}
	for i := range *v {
		item(k, &(*v)[i])
		if k.err != nil {
			return
		}
	}
}

func codeInt32(k *coder, v *int32) { k.i32(v) }

func (k *coder) replicas(v *[]int32) { list(k, v, MaxReplicas, 1, codeInt32) }

func (k *coder) configs(v *Configs) {
	list(k, (*[]Config)(v), MaxConfigs, 2, func(k *coder, c *Config) {
		k.str(&c.Key, maxString)
		k.str(&c.Value, maxString)
	})
	if !v.Valid() {
		k.fail("settings out of order or too large")
	}
}
