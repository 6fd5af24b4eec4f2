package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordFormat is how `tideline consume` prints a record.
type recordFormat struct {
	kind      string // text or json
	separator string
	key       bool
	headers   bool
	timestamp bool
	partition bool
	offset    bool
}

func (r *recordFormat) flags(flags *pflag.FlagSet) {
	flags.StringVar(&r.kind, "format", "text", "text, or json: one object per line with all that a record has")
	flags.StringVar(&r.separator, "separator", "\t", "`text` between what text prints of a record")
	flags.BoolVar(&r.key, "print-key", false, "text: print the key")
	flags.BoolVar(&r.headers, "print-headers", false, "text: print the headers")
	flags.BoolVar(&r.timestamp, "print-timestamp", false, "text: print the time")
	flags.BoolVar(&r.partition, "print-partition", false, "text: print the partition")
	flags.BoolVar(&r.offset, "print-offset", false, "text: print the offset")
}

// write prints one record and a newline. Failures of w stay in it until Flush.
func (r *recordFormat) write(w *bufio.Writer, record *kgo.Record) error {
	if r.kind == "json" {
		return writeJSON(w, record)
	}
	field := func(show bool, write func()) {
		if show {
			write()
			w.WriteString(r.separator)
		}
	}
	var number [20]byte
	field(r.timestamp, func() { w.WriteString(record.Timestamp.UTC().Format(timeLayout)) })
	field(r.partition, func() { w.Write(strconv.AppendInt(number[:0], int64(record.Partition), 10)) })
	field(r.offset, func() { w.Write(strconv.AppendInt(number[:0], record.Offset, 10)) })
	field(r.headers, func() {
		for i, h := range record.Headers {
			if i > 0 {
				w.WriteByte(',')
			}
			w.WriteString(h.Key)
			w.WriteByte('=')
			w.Write(h.Value)
		}
	})
	field(r.key, func() { writeNullable(w, record.Key) })
	writeNullable(w, record.Value)
	return w.WriteByte('\n')
}

const timeLayout = "2006-01-02T15:04:05.000Z"

func writeNullable(w *bufio.Writer, b []byte) {
	if b == nil {
		w.WriteString("null")
		return
	}
	w.Write(b)
}

// jsonRecord is one line of --format json. Bytes that are no UTF-8 text are in
// the _base64 field in place of the plain one; null is null.
type jsonRecord struct {
	Topic       string       `json:"topic"`
	Partition   int32        `json:"partition"`
	Offset      int64        `json:"offset"`
	Timestamp   string       `json:"timestamp"`
	Headers     []jsonHeader `json:"headers,omitempty"`
	Key         *string      `json:"key"`
	KeyBase64   []byte       `json:"key_base64,omitempty"`
	Value       *string      `json:"value"`
	ValueBase64 []byte       `json:"value_base64,omitempty"`
}

type jsonHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

func writeJSON(w *bufio.Writer, record *kgo.Record) error {
	line := jsonRecord{
		Topic: record.Topic, Partition: record.Partition, Offset: record.Offset,
		Timestamp: record.Timestamp.UTC().Format(timeLayout),
	}
	line.Key, line.KeyBase64 = textOrBytes(record.Key)
	line.Value, line.ValueBase64 = textOrBytes(record.Value)
	for _, h := range record.Headers {
		header := jsonHeader{Key: h.Key}
		header.Value, header.ValueBase64 = textOrBytes(h.Value)
		line.Headers = append(line.Headers, header)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(line)
}

func textOrBytes(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if !utf8.Valid(b) {
		return nil, b
	}
	text := string(b)
	return &text, nil
}

// parseTime reads RFC 3339, a day, or milliseconds since 1970.
func parseTime(text string) (time.Time, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 {
		return time.UnixMilli(ms), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("not a time: %q; allowed are RFC 3339 (2026-01-31T12:00:00Z), a day (2026-01-31) and milliseconds since 1970", text)
}
