package once

import (
	"fmt"
	"strconv"
	"strings"
)

// output is what a worker writes for one input: the input, and the attempt.
//
//	partition ' ' offset ' ' process ' ' number
type output struct {
	partition int32
	offset    int64
	attempt   attempt
}

func (o *output) append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(o.partition), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, o.offset, 10)
	dst = append(dst, ' ')
	dst = append(dst, o.attempt.process...)
	dst = append(dst, ' ')
	return strconv.AppendInt(dst, o.attempt.number, 10)
}

func parseOutput(b []byte) (o output, err error) {
	f := strings.Split(string(b), " ")
	if len(f) != 4 {
		return o, fmt.Errorf("not an output: %q", b)
	}
	p, err1 := strconv.ParseInt(f[0], 10, 32)
	offset, err2 := strconv.ParseInt(f[1], 10, 64)
	n, err3 := strconv.ParseInt(f[3], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return o, fmt.Errorf("not an output: %q", b)
	}
	return output{partition: int32(p), offset: offset, attempt: attempt{f[2], n}}, nil
}
