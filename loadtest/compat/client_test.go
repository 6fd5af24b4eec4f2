package compat

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

// workerTimeout bounds one call of a worker on a busy machine.
const workerTimeout = 3 * time.Minute

// A client is a worker program (see clients/worker) for one client library.
type client struct {
	name    string
	command func(t testing.TB) *exec.Cmd
	codecs  []string // those that it can write
	// fullHeaders: it refuses to write a header without a value, which it can read.
	fullHeaders bool
}

var allCodecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// javaFlags make short runs start quickly in little memory.
var javaFlags = []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}

var clients = []client{
	{name: "java", codecs: allCodecs, command: func(t testing.TB) *exec.Cmd {
		path := classes(t) + string(os.PathListSeparator) + filepath.Join(jars(t), "*")
		return exec.Command("java", append(slices.Clone(javaFlags), "-cp", path, "Worker")...)
	}},
	{name: "librdkafka", codecs: allCodecs, command: pythonWorker("confluent.py")},
	{name: "kafka-python", codecs: allCodecs, fullHeaders: true, command: pythonWorker("kafkapython.py")},
	{name: "aiokafka", codecs: allCodecs, command: pythonWorker("aio.py")},
	{name: "kafkajs", codecs: allCodecs, fullHeaders: true, command: func(t testing.TB) *exec.Cmd {
		cmd := exec.Command("node", absolute(t, "clients/node/worker.js"))
		cmd.Env = append(os.Environ(), "NODE_PATH="+node(t), "KAFKAJS_NO_PARTITIONER_WARNING=1")
		return cmd
	}},
	{name: "franz-go", codecs: allCodecs, command: func(t testing.TB) *exec.Cmd {
		return exec.Command(filepath.Join(golang(t), "franz"))
	}},
	{name: "sarama", codecs: allCodecs, command: func(t testing.TB) *exec.Cmd {
		return exec.Command(filepath.Join(golang(t), "sarama"))
	}},
}

func pythonWorker(file string) func(t testing.TB) *exec.Cmd {
	return func(t testing.TB) *exec.Cmd {
		cmd := exec.Command(python(t), absolute(t, filepath.Join("clients/python", file)))
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		return cmd
	}
}

// clientNamed returns one of the table.
func clientNamed(t testing.TB, name string) client {
	t.Helper()
	i := slices.IndexFunc(clients, func(c client) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("no client %s", name)
	}
	return clients[i]
}

// create has the client make a topic.
func (c client) create(t testing.TB, o worker.Options) {
	t.Helper()
	c.start(t, "create", o).finish()
}

// produce has the client write the records with o.Codec and returns the acknowledgements in the order of the records.
func (c client) produce(t testing.TB, o worker.Options, records []worker.Record) []worker.Ack {
	t.Helper()
	if o.TimeoutMS == 0 {
		o.TimeoutMS = int(workerTimeout.Milliseconds()) / 2
	}
	s := c.start(t, "produce", o)
	for _, r := range records {
		s.send(r)
	}
	s.closeInput()
	acks := decode[worker.Ack](t, c.name, s.finish())
	slices.SortFunc(acks, func(a, b worker.Ack) int { return cmp.Compare(a.Index, b.Index) })
	if len(acks) != len(records) {
		t.Fatalf("%s: %d acknowledgements of %d records", c.name, len(acks), len(records))
	}
	for i, a := range acks {
		if a.Index != i || a.Error != "" || a.Partition != records[i].Partition {
			t.Fatalf("%s: acknowledgement of record %d: %+v", c.name, i, a)
		}
	}
	return acks
}

// consume has the client read o.Count records.
func (c client) consume(t testing.TB, o worker.Options) []worker.Record {
	t.Helper()
	return decode[worker.Record](t, c.name, c.start(t, "consume", o).finish())
}

func decode[T any](t testing.TB, who string, lines [][]byte) []T {
	t.Helper()
	var all []T
	for _, line := range lines {
		var one T
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%s: %v in %s", who, err, line)
		}
		all = append(all, one)
	}
	return all
}

// A session is one running worker. It is ended with the test.
type session struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	input  io.WriteCloser
	buffer *bufio.Writer
	output *lineBuffer
	errors bytes.Buffer  // complete when done is closed
	done   chan struct{} // closed when it has ended
	err    error         // how; valid when done is closed
	killed bool
}

// start starts a worker.
func (c client) start(t testing.TB, verb string, o worker.Options) *session {
	t.Helper()
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := c.command(t)
	cmd.Args = append(cmd.Args, verb, string(options))
	return startSession(t, c.name+" "+verb, cmd)
}

func startSession(t testing.TB, name string, cmd *exec.Cmd) *session {
	t.Helper()
	s := &session{t: t, name: name, cmd: cmd, output: newLineBuffer(), done: make(chan struct{})}
	var err error
	if s.input, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	s.buffer = bufio.NewWriterSize(s.input, 64<<10)
	cmd.Stdout, cmd.Stderr = s.output, &s.errors
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		s.err = cmd.Wait()
		s.output.end()
		close(s.done)
	}()
	t.Cleanup(func() {
		select {
		case <-s.done:
		default:
			s.kill()
		}
		if t.Failed() {
			t.Logf("%s wrote to standard error:\n%s", name, clip(s.errors.Bytes()))
		}
	})
	return s
}

func clip(b []byte) []byte {
	const most = 8000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return b
}

// send writes one record to the worker's input.
func (s *session) send(r worker.Record) {
	s.t.Helper()
	b, err := json.Marshal(r)
	if err == nil {
		_, err = s.buffer.Write(append(b, '\n'))
	}
	if err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

// flush hands what was sent to the worker.
func (s *session) flush() {
	s.t.Helper()
	if err := s.buffer.Flush(); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

func (s *session) closeInput() {
	s.t.Helper()
	// A worker that has ended does not read its input; how it ended tells why.
	_ = errors.Join(s.buffer.Flush(), s.input.Close())
}

// finish waits for the worker's end and returns the lines that it wrote.
func (s *session) finish() [][]byte {
	s.t.Helper()
	s.closeInput()
	timer := time.NewTimer(workerTimeout)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		s.kill()
		s.t.Fatalf("%s: not done after %s; it wrote %d lines", s.name, workerTimeout, len(s.output.all()))
	}
	if s.err != nil {
		s.t.Fatalf("%s: %v\n%s", s.name, s.err, clip(s.errors.Bytes()))
	}
	return s.output.all()
}

// kill ends the worker with SIGKILL.
func (s *session) kill() {
	s.killed = true
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// lineBuffer keeps the lines of a worker and lets others wait for more.
type lineBuffer struct {
	mu    sync.Mutex
	lines [][]byte      // whole ones; guarded by mu
	part  []byte        // of the next one; guarded by mu
	more  chan struct{} // closed and replaced when there is a new line; guarded by mu
	ended bool          // guarded by mu
}

func newLineBuffer() *lineBuffer { return &lineBuffer{more: make(chan struct{})} }

func (l *lineBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, b...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.lines = append(l.lines, bytes.Clone(line))
		l.part = append(l.part[:0], rest...)
		close(l.more)
		l.more = make(chan struct{})
	}
}

func (l *lineBuffer) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		close(l.more)
		l.more = make(chan struct{})
	}
}

func (l *lineBuffer) all() [][]byte {
	lines, _, _ := l.from(0)
	return lines
}

// from returns the lines from index n on, and how to wait for further ones.
func (l *lineBuffer) from(n int) (lines [][]byte, ended bool, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines[min(n, len(l.lines)):]), l.ended, l.more
}

// waitFor calls done after each change of one of the buffers until it is true. what tells, when the time is over, what was waited for.
func waitFor(t testing.TB, timeout time.Duration, what func() string, buffers []*lineBuffer, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		// The channels are taken before the look, so that no line between them is missed.
		changed := make(chan struct{}, len(buffers))
		stop := make(chan struct{})
		for _, b := range buffers {
			_, _, more := b.from(0)
			go func() {
				select {
				case <-more:
					changed <- struct{}{}
				case <-stop:
				}
			}()
		}
		ok := done()
		if !ok {
			select {
			case <-changed:
			case <-ctx.Done():
				close(stop)
				t.Fatalf("not after %s: %s", timeout, what())
			}
		}
		close(stop)
		if ok {
			return
		}
	}
}

// show makes a record short enough for a message.
func show(r worker.Record) string {
	part := func(b []byte) string {
		switch {
		case b == nil:
			return "null"
		case len(b) > 40:
			return fmt.Sprintf("%q…(%d)", b[:40], len(b))
		}
		return fmt.Sprintf("%q", b)
	}
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, h.Name+"="+part(h.Value))
	}
	return fmt.Sprintf("%d/%d t=%d key=%s value=%s headers=[%s]", r.Partition, r.Offset, r.Timestamp, part(r.Key), part(r.Value), strings.Join(headers, " "))
}
