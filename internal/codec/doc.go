// Package codec is the byte primitives that every format and protocol of
// Tideline is written with: a bounds-checked reader over a byte slice, and
// append helpers where encoding/binary has none.
//
// Integers are big endian, as in the Kafka protocol. A varint is base-128,
// least significant group first; signed ones are zigzag. A byte string or list
// is preceded by its uvarint length.
//
// Flexible structures, of requests and of the records of internal topics alike, have
// lengths of their own (compact.go): one higher, for 0 is null. Each structure, those in
// arrays too, ends in tagged fields:
//
//	uvarint  fields      most often 0
//	uvarint  tag       ─┐ for each field, tags ascending;
//	uvarint  size       │ a tag that is not known is passed over
//	bytes    value     ─┘
//
// # What it refuses
//
// Reads beyond the end (ErrShort), and varints that do not fit or counts that
// the remaining bytes cannot hold (ErrInvalid). The first failure sticks: later
// reads return zeros, so that a decoder may read a whole structure and look at
// Err once. Nothing is allocated on the word of a length: byte strings are
// views, and Count compares a count with what remains before the caller makes
// room for it.
//
// # Concurrency
//
// A Reader belongs to one goroutine. Views alias the bytes that were read.
package codec
