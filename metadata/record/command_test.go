package record

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fill sets every field of a value to random contents within the bounds.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			if r.IntN(2) == 0 {
				return
			}
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(r, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
		if rel, ok := v.Addr().Interface().(*Release); ok && rel.NewRoot == nil {
			rel.Pages = 0
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[Configs]() {
			m := map[string]string{}
			for range r.IntN(4) {
				m[fmt.Sprint("key", r.IntN(9))] = fmt.Sprint(r.IntN(1000))
			}
			v.Set(reflect.ValueOf(ConfigsOf(m)))
			return
		}
		n := r.IntN(4)
		if n == 0 {
			return
		}
		s := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			fill(r, s.Index(i))
		}
		v.Set(s)
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.String:
		b := make([]byte, r.IntN(20))
		for i := range b {
			b[i] = 'a' + byte(r.IntN(26))
		}
		v.SetString(string(b))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat([]float64{0, -1.5, 1e9, math.MaxFloat64, r.Float64()}[r.IntN(5)])
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(256)))
	case reflect.Uint32:
		v.SetUint(uint64(r.Uint32() >> r.IntN(32)))
	case reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Int32:
		v.SetInt(int64(int32(r.Uint32())) >> r.IntN(32))
	case reflect.Int64:
		extremes := []int64{0, -1, math.MaxInt64, math.MinInt64}
		if n := r.IntN(12); n < len(extremes) {
			v.SetInt(extremes[n])
			return
		}
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	default:
		panic(v.Kind())
	}
}

func TestCommandsSurviveTheirBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range Types() {
		for range 200 {
			c := New(typ)
			fill(r, reflect.ValueOf(c).Elem())
			b, err := Append([]byte("prefix"), c)
			if err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
			got, err := Decode(b[6:])
			if err != nil {
				t.Fatalf("%s: %v: %+v", typ, err, c)
			}
			if diff := cmp.Diff(c, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Fatalf("%s: %s", typ, diff)
			}
		}
	}
}

func states() []State {
	return []State{&Cluster{}, &Broker{}, &BrokerConfigs{}, &GroupConfigs{}, &Topic{}, &PartitionState{}, &Intent{}, &Object{}, &Garbage{}, &Purge{},
		&ACL{}, &Role{}, &Grant{}, &Scram{}, &Quota{}, &Token{}, &ClientMetrics{}}
}

func TestStatesSurviveTheirBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range states() {
		for range 200 {
			want := reflect.New(reflect.TypeOf(s).Elem()).Interface().(State)
			fill(r, reflect.ValueOf(want).Elem())
			b, err := AppendState(nil, want)
			if err != nil {
				t.Fatal(err)
			}
			got := reflect.New(reflect.TypeOf(s).Elem()).Interface().(State)
			rest, err := DecodeState(append(b, 1, 2), StateVersion, got)
			if err != nil || len(rest) != 2 {
				t.Fatalf("%T: %v, %d bytes left", s, err, len(rest))
			}
			if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Fatalf("%T: %s", s, diff)
			}
			if _, err := DecodeState(b, StateVersion+1, got); !errors.Is(err, ErrUnknownVersion) {
				t.Fatal(err)
			}
		}
	}
}

func TestResultsSurviveTheirBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var want Result
		fill(r, reflect.ValueOf(&want).Elem())
		b := AppendResult(nil, &want)
		got, err := DecodeResult(b)
		if err != nil || !cmp.Equal(want, got) {
			t.Fatal(err, cmp.Diff(want, got))
		}
		if _, err := DecodeResult(append(b, 0)); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		b[0]++
		if _, err := DecodeResult(b); !errors.Is(err, ErrUnknownVersion) {
			t.Fatal(err)
		}
	}
}

// sealed is b with a right checksum.
func sealed(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) >= 4 {
		binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	}
	return b
}

func TestDecodeTellsErrorsApart(t *testing.T) {
	good, err := Append(nil, &BeginUpload{Object: ID{1}, Kind: KindData})
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":           {nil, ErrCorrupt},
		"short":           {good[:5], ErrCorrupt},
		"bit":             {flip(10, 0xff), ErrCorrupt},
		"checksum":        {flip(0, ^good[0]), ErrCorrupt},
		"unknown type":    {sealed(flip(4, 200)), ErrUnknownType},
		"type zero":       {sealed(flip(4, 0)), ErrUnknownType},
		"unknown version": {sealed(flip(5, 2)), ErrUnknownVersion},
		"version zero":    {sealed(flip(5, 0)), ErrUnknownVersion},
		"cut":             {sealed(good[:len(good)-1]), ErrCorrupt},
		"trailing":        {sealed(append(bytes.Clone(good), 0)), ErrCorrupt},
		"too large":       {make([]byte, MaxSize+1), ErrTooLarge},
	} {
		if _, err := Decode(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Append(nil, &CollectGarbage{Objects: make([]ID, MaxSize/16)}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := Append(nil, &CreateTopic{Name: strings.Repeat("x", MaxTopicName+1)}); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// A forged count must not make the decoder allocate.
func TestDecodeBoundsAllocation(t *testing.T) {
	b := sealed(binary.AppendUvarint([]byte{0, 0, 0, 0, byte(TypeCollectGarbage), 1}, maxList))
	allocated := testing.AllocsPerRun(10, func() {
		if _, err := Decode(b); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
	if allocated > 20 {
		t.Errorf("%.0f allocations", allocated)
	}
}

func TestChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	commit := &CommitUpload{Object: ID{1}, Last: true}
	for range 1201 {
		var e CommitEntry
		fill(r, reflect.ValueOf(&e).Elem())
		commit.Entries = append(commit.Entries, e)
	}
	var commands []Command
	entries := 0
	for i, c := range ChunkCommit(commit) {
		if c.Last != (i == 2) || len(c.Entries) > MaxCommitEntries {
			t.Fatalf("chunk %d: last=%v entries=%d", i, c.Last, len(c.Entries))
		}
		entries += len(c.Entries)
		commands = append(commands, c)
	}
	if entries != 1201 {
		t.Fatal(entries)
	}
	if c := ChunkCommit(&CommitUpload{Last: true}); len(c) != 1 || !c[0].Last {
		t.Fatal("an empty commit must still close its intent")
	}
	spill := &Spill{Last: true}
	for range 700 {
		spill.Entries = append(spill.Entries, SpillEntry{NewRootEnd: math.MaxInt64, Released: make([]PageRef, 30)})
	}
	for _, c := range ChunkSpill(spill) {
		commands = append(commands, c)
	}
	var changes []PartitionChange
	for range 100_000 {
		changes = append(changes, PartitionChange{Topic: ID{255}, Partition: math.MaxInt32, PartitionEpoch: math.MaxInt32, Leader: math.MaxInt32, ISR: []int32{math.MaxInt32, 2, 3}})
	}
	n := 0
	for _, c := range ChunkChange(changes) {
		n += len(c.Entries)
		commands = append(commands, c)
	}
	if n != len(changes) {
		t.Fatal(n)
	}
	create := &CreateTopic{ID: ID{1}, Name: "t"}
	for range 300_000 {
		create.Assignments = append(create.Assignments, []int32{math.MaxInt32, 2, 3})
	}
	next := int32(0)
	for i, c := range ChunkCreate(create) {
		if i == 0 {
			next = int32(len(c.(*CreateTopic).Assignments))
		} else {
			g := c.(*CreatePartitions)
			if g.From != next {
				t.Fatalf("chunk %d starts at %d, want %d", i, g.From, next)
			}
			next += int32(len(g.Assignments))
		}
		commands = append(commands, c)
	}
	if next != 300_000 {
		t.Fatal(next)
	}
	for _, c := range ChunkCollect(make([]ID, 100_000)) {
		commands = append(commands, c)
	}
	long := strings.Repeat("x", MaxPrincipal)
	scram, quotas, acls := new(ChangeScram), new(ChangeQuotas), new(ChangeACLs)
	for range 10_000 {
		scram.Set = append(scram.Set, Scram{User: long, Mechanism: 2, Salt: make([]byte, MaxScramSalt), StoredKey: make([]byte, 64), ServerKey: make([]byte, 64), Iterations: math.MaxInt32})
		scram.Remove = append(scram.Remove, ScramName{long, 2})
		quotas.Changes = append(quotas.Changes, QuotaChange{Entity: QuotaEntity{{Type: QuotaClientID, Name: long}, {Type: QuotaUser, Name: long}}, Key: long[:MaxQuotaKey], Value: 1})
		acls.Add = append(acls.Add, ACL{Resource: long, Principal: long, Host: long[:maxHost]})
	}
	acls.Remove = acls.Add
	small := &ChangeACLs{Add: acls.Add[:1], Remove: acls.Add[:1]}
	if c := ChunkACLs(small); len(c) != 1 || c[0] != small {
		t.Fatal("a change that fits is cut")
	}
	sets, removes := 0, 0
	for _, c := range ChunkScram(scram) {
		sets, removes = sets+len(c.Set), removes+len(c.Remove)
		commands = append(commands, c)
	}
	for _, c := range ChunkQuotas(quotas) {
		sets += len(c.Changes)
		commands = append(commands, c)
	}
	for _, c := range ChunkACLs(acls) {
		sets, removes = sets+len(c.Add), removes+len(c.Remove)
		commands = append(commands, c)
	}
	if sets != 30_000 || removes != 20_000 {
		t.Fatal(sets, removes)
	}
	for _, c := range commands {
		b, err := Append(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); err != nil {
			t.Fatalf("%s of %d bytes: %v", c.Type(), len(b), err)
		}
	}
}

func TestConfigsApply(t *testing.T) {
	c := ConfigsOf(map[string]string{"b": "2", "d": "4"})
	next, err := c.Apply([]ConfigChange{{Key: "a", Value: "1"}, {Key: "d", Delete: true}, {Key: "b", Value: "3"}, {Key: "z", Delete: true}})
	if err != nil || !next.Valid() || fmt.Sprint(next) != "[{a 1} {b 3}]" || fmt.Sprint(c) != "[{b 2} {d 4}]" {
		t.Fatal(next, c, err)
	}
	if _, err := c.Apply([]ConfigChange{{Key: "big", Value: strings.Repeat("x", MaxConfigBytes)}}); !errors.Is(err, TooMany) {
		t.Fatal(err)
	}
}

const golden = "testdata/golden/v1/commands.hex"

// Every byte that an older release wrote must be read for ever. The file has,
// per command, its contents as a comment and its bytes.
func TestGoldenCommands(t *testing.T) {
	if *update {
		var out strings.Builder
		out.WriteString("# Commands of the metadata log, version 1: crc32c (4, little-endian), type, version, body.\n")
		r := rand.New(rand.NewPCG(42, 42))
		for _, typ := range Types() {
			c := New(typ)
			fill(r, reflect.ValueOf(c).Elem())
			b, err := Append(nil, c)
			if err != nil {
				t.Fatal(err)
			}
			fields := regexp.MustCompile("0x[0-9a-f]{6,}").ReplaceAllString(fmt.Sprintf("%+v", reflect.ValueOf(c).Elem()), "set")
			fmt.Fprintf(&out, "\n# %s %s\n", typ, fields)
			for part := range slices.Chunk(b, 32) {
				fmt.Fprintf(&out, "%x\n", part)
			}
		}
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	commands := readGolden(t, golden)
	if len(commands) != len(Types()) {
		t.Fatalf("%d commands in the file, %d types", len(commands), len(Types()))
	}
	for i, b := range commands {
		c, err := Decode(b)
		if err != nil {
			t.Fatalf("command %d: %v", i, err)
		}
		if c.Type() != Types()[i] {
			t.Fatalf("command %d is a %s", i, c.Type())
		}
		if again, err := Append(nil, c); err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%s: other bytes now: %v", c.Type(), err)
		}
	}
}

// readGolden returns the byte strings of an annotated hex file; a comment or
// an empty line ends one.
func readGolden(t testing.TB, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out [][]byte
	open := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			open = false
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		if !open {
			out, open = append(out, nil), true
		}
		out[len(out)-1] = append(out[len(out)-1], b...)
	}
	return out
}

// FuzzDecode: no input panics, and what decodes has exactly one encoding.
func FuzzDecode(f *testing.F) {
	for _, b := range readGolden(f, golden) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = sealed(b) // else nothing gets past the checksum
		c, err := Decode(b)
		if err != nil {
			for _, known := range []error{ErrCorrupt, ErrUnknownType, ErrUnknownVersion, ErrTooLarge} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("not a known error: %v", err)
		}
		again, err := Append(nil, c)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%s: %v\n%x\n%x", c.Type(), err, b, again)
		}
	})
}

// FuzzDecodeState: as FuzzDecode, for the records of snapshots.
func FuzzDecodeState(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for i, s := range states() {
		fill(r, reflect.ValueOf(s).Elem())
		b, err := AppendState(nil, s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		all := states()
		s := all[int(kind)%len(all)]
		rest, err := DecodeState(b, StateVersion, s)
		if err != nil {
			return
		}
		again, err := AppendState(nil, s)
		if err != nil || !bytes.Equal(b[:len(b)-len(rest)], again) {
			t.Fatalf("%T: %v\n%x\n%x", s, err, b, again)
		}
	})
}

// FuzzDecodeResult: no input panics, and what decodes has one encoding.
func FuzzDecodeResult(f *testing.F) {
	f.Add(AppendResult(nil, &Result{Reason: TopicExists, Entries: make([]EntryResult, 2), ClusterID: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeResult(b)
		if err == nil && !bytes.Equal(AppendResult(nil, &r), b) {
			t.Fatalf("%+v %x", r, b)
		}
	})
}

func BenchmarkCommitCodec(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	c := &CommitUpload{Entries: make([]CommitEntry, MaxCommitEntries)}
	for i := range c.Entries {
		fill(r, reflect.ValueOf(&c.Entries[i]).Elem())
	}
	buf, err := Append(nil, c)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			if buf, err = Append(buf[:0], c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			if _, err := Decode(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
