package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// Positions in a batch header, for those who write nonsense there.
const (
	posLength     = 8
	posMagic      = 16
	posCRC        = 17
	posAttributes = 21
	posLastDelta  = 23
	posFirstTime  = 27
	posProducer   = 43
	posCount      = 57
)

// changed returns an ordinary batch with something changed and the checksum right.
func changed(change func(b []byte)) []byte {
	b := append([]byte{}, batchOf("one", "two")...)
	change(b)
	return sealed(b)
}

func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// compressed returns a batch whose records are these bytes, in a codec.
func compressed(codec byte, records []byte, count int32) []byte {
	b := append([]byte{}, batchOf("x")[:record.HeaderSize]...)
	b = append(b, records...)
	binary.BigEndian.PutUint32(b[posLength:], uint32(len(b)-12))
	b[posAttributes+1] = codec
	binary.BigEndian.PutUint32(b[posLastDelta:], uint32(count-1))
	binary.BigEndian.PutUint32(b[posCount:], uint32(count))
	return sealed(b)
}

// bomb is gzip of so many MiB of zeros, which takes a thousandth of that: the same
// member again and again.
func bomb(t *testing.T, mib int) []byte {
	t.Helper()
	var member bytes.Buffer
	w, err := gzip.NewWriterLevel(&member, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(member.Bytes(), mib)
}

// oldMessage is a message of format v0 or v1.
func oldMessage(magic byte) []byte {
	body := []byte{magic, 0}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(time.Now().UnixMilli()))
	}
	body = binary.BigEndian.AppendUint32(body, math.MaxUint32) // null key
	body = append(binary.BigEndian.AppendUint32(body, 5), "value"...)
	var b []byte
	b = binary.BigEndian.AppendUint64(b, 0) // offset
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(body))
	return slices.Concat(b, body)
}

// TestRecords sends record sets that a broker must not store. The codes are those
// of ProduceRequest.validateRecords, UnifiedLog and LogValidator in Apache Kafka.
func TestRecords(t *testing.T) {
	n := start(t)
	n.createTopic(t, "compacted", 1, "cleanup.policy=compact")
	n.createTopic(t, "stamped", 1, "message.timestamp.type=LogAppendTime")
	good := batchOf("one", "two")
	now := time.Now().UnixMilli()
	for name, v := range map[string]struct {
		records []byte
		want    *kerr.Error
	}{
		"nothing":                   {[]byte{}, kerr.InvalidRecord},
		"null":                      {nil, kerr.InvalidRecord},
		"one byte":                  {good[:1], kerr.InvalidRecord},
		"cut before the magic":      {good[:posMagic], kerr.InvalidRecord},
		"cut in the header":         {good[:40], kerr.InvalidRecord},
		"cut in the last record":    {good[:len(good)-1], kerr.InvalidRecord},
		"two batches":               {append(append([]byte{}, good...), good...), kerr.InvalidRecord},
		"magic 0":                   {oldMessage(0), kerr.UnsupportedForMessageFormat},
		"magic 1":                   {oldMessage(1), kerr.UnsupportedForMessageFormat},
		"magic 3":                   {changed(func(b []byte) { b[posMagic] = 3 }), kerr.CorruptMessage},
		"magic -1":                  {changed(func(b []byte) { b[posMagic] = 0xff }), kerr.CorruptMessage},
		"length 0":                  {changed(func(b []byte) { binary.BigEndian.PutUint32(b[posLength:], 0) }), kerr.CorruptMessage},
		"length below a header":     {changed(func(b []byte) { binary.BigEndian.PutUint32(b[posLength:], 48) }), kerr.CorruptMessage},
		"negative length":           {changed(func(b []byte) { binary.BigEndian.PutUint32(b[posLength:], math.MaxUint32) }), kerr.CorruptMessage},
		"greatest length":           {changed(func(b []byte) { binary.BigEndian.PutUint32(b[posLength:], math.MaxInt32) }), kerr.InvalidRecord},
		"checksum":                  {flipped(good, posCRC), kerr.CorruptMessage},
		"value flipped":             {flipped(good, len(good)-3), kerr.CorruptMessage},
		"count flipped":             {flipped(good, posCount+3), kerr.CorruptMessage},
		"codec flipped":             {flipped(good, posAttributes+1), kerr.CorruptMessage},
		"last delta flipped":        {flipped(good, posLastDelta+3), kerr.CorruptMessage},
		"base offset":               {changed(func(b []byte) { b[7] = 9 }), kerr.InvalidRecord},
		"negative base offset":      {changed(func(b []byte) { b[0] = 0xff }), kerr.InvalidRecord},
		"count too great":           {changed(func(b []byte) { b[posCount+3] = 3 }), kerr.InvalidRecord},
		"count too small":           {changed(func(b []byte) { b[posCount+3] = 1 }), kerr.InvalidRecord},
		"count 0":                   {changed(func(b []byte) { b[posCount+3] = 0 }), kerr.InvalidRecord},
		"negative count":            {changed(func(b []byte) { b[posCount] = 0xff }), kerr.InvalidRecord},
		"count and delta too great": {changed(func(b []byte) { b[posCount+3], b[posLastDelta+3] = 3, 2 }), kerr.InvalidRecord},
		"2^31-1 records":            {compressed(0, nil, math.MaxInt32), kerr.InvalidRecord},
		"negative last delta":       {changed(func(b []byte) { b[posLastDelta] = 0xff }), kerr.InvalidRecord},
		"record longer than batch":  {changed(func(b []byte) { b[record.HeaderSize] = 0x7e }), kerr.InvalidRecord},
		"record of negative size":   {changed(func(b []byte) { b[record.HeaderSize] = 0x01 }), kerr.InvalidRecord},
		"bytes behind the records":  {compressed(0, append(append([]byte{}, batchOf("x")[record.HeaderSize:]...), 1, 2, 3), 1), kerr.InvalidRecord},
		"control bit":               {changed(func(b []byte) { b[posAttributes+1] |= 1 << 5 }), kerr.InvalidRecord},
		"delete horizon bit":        {changed(func(b []byte) { b[posAttributes+1] |= 1 << 6 }), kerr.InvalidRecord},
		"unknown codec":             {changed(func(b []byte) { b[posAttributes+1] = 7 }), kerr.UnsupportedCompressionType},
		"gzip that is none":         {compressed(1, []byte("this is not compressed"), 1), kerr.InvalidRecord},
		"snappy that is none":       {compressed(2, []byte("this is not compressed"), 1), kerr.InvalidRecord},
		"lz4 that is none":          {compressed(3, []byte("this is not compressed"), 1), kerr.InvalidRecord},
		"zstd that is none":         {compressed(4, []byte("this is not compressed"), 1), kerr.InvalidRecord},
		"gzip of rubbish":           {compressed(1, bomb(t, 1), 1), kerr.InvalidRecord},
		"too large":                 {batchOf(string(make([]byte, 1<<20+1000))), kerr.MessageTooLarge},
		"timestamp of tomorrow":     {stamped(now + 26*3600*1000), kerr.InvalidTimestamp},
		"timestamp of year 292e6":   {stamped(math.MaxInt64), kerr.InvalidTimestamp},
	} {
		c := n.dial(t)
		for _, version := range []int16{7, 9, 12} {
			p := call[*kmsg.ProduceResponse](t, c, produceRequest(version, topic, 0, v.records)).Topics[0].Partitions[0]
			expectCode(t, name, p.ErrorCode, v.want)
		}
		c.close()
		if v.want != nil { // without acknowledgement the connection tells that something was wrong
			req := produceRequest(9, topic, 0, v.records)
			req.Acks = 0
			n.mustClose(t, name+" without acknowledgement", 0, 9, req.AppendTo(nil))
		}
	}
	c := n.dial(t)
	defer c.close()
	code := func(version int16, to string, records []byte) int16 {
		return call[*kmsg.ProduceResponse](t, c, produceRequest(version, to, 0, records)).Topics[0].Partitions[0].ErrorCode
	}
	expectCode(t, "bomb", code(9, topic, compressed(1, bomb(t, 512), 1)), kerr.MessageTooLarge)
	expectCode(t, "no key in a compacted topic", code(9, "compacted", keyless()), kerr.InvalidRecord)
	expectCode(t, "the broker's timestamp type", code(9, "stamped", changed(func(b []byte) { b[posAttributes+1] |= 1 << 3 })), kerr.InvalidTimestamp)
	zstd := record.NewBuilder(record.Options{ProducerID: -1, Codec: record.Zstd})
	if err := zstd.Add(record.Record{Timestamp: now, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	expectCode(t, "zstd before it was invented", code(6, topic, zstd.Build()), kerr.UnsupportedCompressionType)
	expectCode(t, "zstd", code(7, topic, zstd.Build()), nil)
	n.wellAfter(t, "records of all kinds")
}

func flipped(b []byte, at int) []byte {
	out := append([]byte{}, b...)
	out[at] ^= 1
	return out
}

func stamped(ts int64) []byte {
	return changed(func(b []byte) {
		binary.BigEndian.PutUint64(b[posFirstTime:], uint64(ts))
		binary.BigEndian.PutUint64(b[posFirstTime+8:], uint64(ts))
	})
}

func keyless() []byte {
	b := record.NewBuilder(record.Options{ProducerID: -1})
	if err := b.Add(record.Record{Timestamp: time.Now().UnixMilli(), Value: []byte("v")}); err != nil {
		panic(err)
	}
	return b.Build()
}

// TestNotAClientsToSend: what only the broker and its coordinators may write.
func TestNotAClientsToSend(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	findGroup(t, c, "g")
	for index := range int32(4) {
		p := call[*kmsg.ProduceResponse](t, c, produceRequest(9, "__consumer_offsets", index, batchOf("x"))).Topics[0].Partitions[0]
		expectCode(t, "produce to __consumer_offsets", p.ErrorCode, kerr.InvalidTopicException)
	}
	transactional := changed(func(b []byte) {
		b[posAttributes+1] |= 1 << 4
		binary.BigEndian.PutUint64(b[43:], 1) // producer id
		binary.BigEndian.PutUint16(b[51:], 0) // epoch
		binary.BigEndian.PutUint32(b[53:], 0) // sequence
	})
	p := call[*kmsg.ProduceResponse](t, c, produceRequest(9, topic, 0, transactional)).Topics[0].Partitions[0]
	expectCode(t, "transactional without a transactional id", p.ErrorCode, kerr.TransactionalIDAuthorizationFailed)
	req := produceRequest(9, topic, 0, transactional)
	req.TransactionID = kmsg.StringPtr("tx")
	for { // NOT_ENOUGH_REPLICAS means again: the coordinator of transactions is coming up
		p = call[*kmsg.ProduceResponse](t, c, req).Topics[0].Partitions[0]
		if p.ErrorCode != kerr.NotEnoughReplicas.Code {
			break
		}
	}
	expectCode(t, "transactional out of a transaction", p.ErrorCode, kerr.InvalidProducerIDMapping) // nobody knows the transactional id
	for _, acks := range []int16{2, -2, math.MaxInt16, math.MinInt16} {
		req := produceRequest(9, topic, 0, batchOf("x"))
		req.Acks = acks
		p := call[*kmsg.ProduceResponse](t, c, req).Topics[0].Partitions[0]
		expectCode(t, "acks", p.ErrorCode, kerr.InvalidRequiredAcks)
	}
	for _, timeout := range []int32{0, -1, math.MinInt32, math.MaxInt32} {
		req := produceRequest(9, topic, 0, batchOf("x"))
		req.TimeoutMillis = timeout
		p := call[*kmsg.ProduceResponse](t, c, req).Topics[0].Partitions[0]
		expectCode(t, "timeout", p.ErrorCode, nil)
	}
	if got := listOffsets(t, c, topic, []int32{0}, -1)[0].Offset; got != 4 {
		t.Errorf("high watermark=%d after 4 records that were accepted", got)
	}
	n.wellAfter(t, "what is not a client's to send")
}

// TestRecordsMutated changes random bytes of batches, with and without a right
// checksum, and reads back what was accepted.
func TestRecordsMutated(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed=%d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	n := start(t)
	c := n.dial(t)
	defer c.close()
	accepted := 0
	for range 3000 {
		codec := record.Codec(r.IntN(5))
		b := record.NewBuilder(record.Options{ProducerID: -1, Codec: codec})
		for range 1 + r.IntN(3) {
			if err := b.Add(record.Record{Timestamp: time.Now().UnixMilli(), Key: []byte("key"), Value: make([]byte, r.IntN(100)), Headers: []record.Header{{Key: []byte("h"), Value: []byte("v")}}}); err != nil {
				t.Fatal(err)
			}
		}
		batch := []byte(b.Build())
		for range 1 + r.IntN(2) {
			batch[r.IntN(len(batch))] = byte(r.Uint32())
		}
		if r.IntN(4) > 0 {
			sealed(batch)
		}
		if call[*kmsg.ProduceResponse](t, c, produceRequest(9, topic, 1, batch)).Topics[0].Partitions[0].ErrorCode == 0 {
			accepted++
		}
	}
	t.Logf("accepted=%d", accepted)
	// All that was accepted must be readable to the end.
	end := listOffsets(t, c, topic, []int32{1}, -1)[0].Offset
	for at := int64(0); at < end; {
		p := call[*kmsg.FetchResponse](t, c, fetchRequest(12, topic, 1, at)).Topics[0].Partitions[0]
		expectCode(t, "fetch", p.ErrorCode, nil)
		next := at
		for batch, err := range record.All(p.RecordBatches) {
			if err != nil {
				break // the last one is cut
			}
			if err := batch.Validate(); err != nil {
				t.Fatalf("offset=%d: an accepted batch is bad: %v", batch.BaseOffset(), err)
			}
			next = batch.NextOffset()
		}
		if next == at {
			t.Fatalf("no progress at offset=%d of %d", at, end)
		}
		at = next
	}
	n.wellAfter(t, "changed batches")
}
