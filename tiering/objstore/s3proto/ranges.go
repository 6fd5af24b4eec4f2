package s3proto

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// RangeHeader is the value of the Range header for n bytes from off on, "" when the whole object is asked for.
func RangeHeader(off, n int64) string {
	switch {
	case n > 0:
		return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	case off > 0:
		return fmt.Sprintf("bytes=%d-", off)
	}
	return ""
}

// Span checks the answer to a Get against what was asked, and returns how many bytes the body must have and the object's size.
// contentLength is -1 when the header was missing. A store that ignores Range, or serves another part, is refused.
func Span(key string, off, n int64, contentRange string, contentLength int64) (length, size int64, err error) {
	if contentLength < 0 {
		return 0, 0, &objstore.Error{Class: objstore.ErrInvalid, Op: "get", Key: key, Detail: "answer has no content length"}
	}
	if RangeHeader(off, n) == "" {
		return contentLength, contentLength, nil
	}
	first, last, size, ok := ParseContentRange(contentRange)
	if !ok || first != off || last-first+1 != contentLength {
		return 0, 0, &objstore.Error{Class: objstore.ErrInvalid, Op: "get", Key: key,
			Detail: fmt.Sprintf("answer is not the range asked for offset=%d length=%d content_range=%q content_length=%d", off, n, contentRange, contentLength)}
	}
	length, err = objstore.Span(key, off, n, size)
	if err != nil {
		return 0, 0, err
	}
	if length != contentLength {
		return 0, 0, &objstore.Error{Class: objstore.ErrUnavailable, Op: "get", Key: key,
			Detail: fmt.Sprintf("range cut short got=%d want=%d", contentLength, length)}
	}
	return length, size, nil
}

// ParseContentRange reads "bytes FIRST-LAST/SIZE".
func ParseContentRange(s string) (first, last, size int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, 0, false
	}
	span, total, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0, 0, false
	}
	from, to, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, 0, false
	}
	var errs [3]error
	first, errs[0] = strconv.ParseInt(from, 10, 64)
	last, errs[1] = strconv.ParseInt(to, 10, 64)
	size, errs[2] = strconv.ParseInt(total, 10, 64)
	for _, err := range errs {
		if err != nil {
			return 0, 0, 0, false
		}
	}
	return first, last, size, first >= 0 && first <= last && last < size
}

// ChecksumHeader is the header in which a body's CRC-32C is sent.
const ChecksumHeader = "X-Amz-Checksum-Crc32c"

// Checksum is the value of ChecksumHeader.
func Checksum(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}
