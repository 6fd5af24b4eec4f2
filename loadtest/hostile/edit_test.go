package hostile

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// An edit is five bytes: what, where (2), and two for how. They change the bytes of a
// request that grow made, so that most of it stays in order.
const (
	editBytes = 5
	maxEdits  = 8
	maxBody   = 1 << 20
)

// hostileLengths are for length fields, of arrays, strings and bytes.
var hostileLengths = []int32{-1, 0, 1, -2, 3, 127, 128, 255, 256, math.MaxInt16, math.MaxInt16 + 1, 1 << 16, 199_999, 200_001, 1 << 20, 1 << 24, math.MaxInt32 - 1, math.MaxInt32, math.MinInt32, math.MinInt16}

// edit changes the encoded request.
func edit(req kmsg.Request, flexible bool, edits []byte) []byte {
	body := req.AppendTo(nil)
	for n := 0; n < maxEdits && len(edits) >= editBytes && len(body) > 0 && len(body) < maxBody; n++ {
		what, where, x, y := edits[0], int(binary.BigEndian.Uint16(edits[1:])), edits[3], edits[4]
		edits = edits[editBytes:]
		at := where % len(body)
		end := min(at+int(x), len(body))
		length := hostileLengths[int(x)%len(hostileLengths)]
		switch what % 11 {
		case 0:
			body[at] = x
		case 1:
			body[at] ^= 1 << (x % 8)
		case 2:
			body = body[:at]
		case 3:
			body = slices.Insert(body, at, bytes.Repeat([]byte{y}, int(x))...)
		case 4:
			body = slices.Delete(body, at, end)
		case 5:
			body = slices.Insert(body, at, slices.Clone(body[at:end])...)
		case 6:
			body = binary.BigEndian.AppendUint32(slices.Clone(body[:at]), uint32(length))
			body = append(body, make([]byte, y)...)
		case 7:
			body = slices.Insert(body, at, binary.AppendUvarint(nil, uint64(uint32(length))<<(y%8))...)
		case 8:
			body = append(body, bytes.Repeat([]byte{y}, int(x)<<8)...)
		case 9:
			if n == 0 { // later the body is not what was encoded
				body = falseLength(req, body, flexible, where, int64(length), int(y)<<4)
			}
		case 10:
			body = slices.Insert(body, at, tagSection(int(x), int(y))...)
		}
	}
	return body
}

// tagSection is that many tagged fields of that size each.
func tagSection(fields, size int) []byte {
	b := binary.AppendUvarint(nil, uint64(fields))
	for i := range fields {
		b = binary.AppendUvarint(b, uint64(i))
		b = binary.AppendUvarint(b, uint64(size))
		b = append(b, make([]byte, size)...)
	}
	return b
}

// falseLength gives one length field of the request another value, and adds so many bytes
// at the end for it to be about.
func falseLength(req kmsg.Request, body []byte, flexible bool, which int, length int64, more int) []byte {
	var longer []func() (undo func(), width int)
	var visit func(v reflect.Value)
	visit = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			longer = append(longer, func() (func(), int) {
				was := v.String()
				v.SetString(was + "x")
				return func() { v.SetString(was) }, 2
			})
		case reflect.Pointer:
			if !v.IsNil() {
				visit(v.Elem())
			}
		case reflect.Slice:
			if v.Len() == 0 {
				return
			}
			longer = append(longer, func() (func(), int) {
				was := reflect.ValueOf(v.Interface())
				v.Set(reflect.Append(v, v.Index(0)))
				return func() { v.Set(was) }, 4
			})
			if v.Type().Elem().Kind() != reflect.Uint8 {
				visit(v.Index(0))
			}
		case reflect.Struct:
			if _, tags := v.Addr().Interface().(*kmsg.Tags); tags {
				return
			}
			for i := range v.NumField() {
				visit(v.Field(i))
			}
		default: // has no length
		}
	}
	visit(reflect.ValueOf(req).Elem())
	if len(longer) == 0 {
		return body
	}
	undo, width := longer[which%len(longer)]()
	changed := req.AppendTo(nil)
	undo()
	at := 0
	for at < min(len(body), len(changed)) && body[at] == changed[at] {
		at++
	}
	if flexible {
		width = 1
	}
	if len(changed) == len(body) || at-width+1 < 0 || at >= len(body) {
		return body // not in this version
	}
	f := lengthField{at: at - width + 1, size: width}
	return append(f.with(body, length), make([]byte, more)...)
}
