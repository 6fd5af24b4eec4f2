package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/child"
)

// asCommand is set in the process that is the command itself.
const asCommand = "TIDELINE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// demo is the command in a process of its own.
type demo struct {
	process *child.Process
	kafka   []string
	output  chan string // all that it printed, when it has ended
}

// start runs the command and returns when it says that all serve.
func start(t *testing.T, dir string, shift int) *demo {
	t.Helper()
	binary, err := brokertest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd := exec.Command(os.Args[0], "-dir", dir, "-tideline", binary, "-shift", strconv.Itoa(shift), "-set", "tier.roll.ms=500")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stdout, cmd.Stderr = w, w
	d := &demo{output: make(chan string, 1)}
	if d.process, err = child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.process.Kill() })
	go func() { <-d.process.Done(); _ = w.Close() }()
	ready := make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines := bufio.NewScanner(r); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if kafka, ok := strings.CutPrefix(lines.Text(), "ready kafka="); ok {
				ready <- kafka
			}
		}
		d.output <- all.String()
	}()
	select {
	case kafka := <-ready:
		d.kafka = strings.Split(kafka, ",")
	case all := <-d.output:
		t.Fatalf("it ended: %v\n%s", d.process.Err(), all)
	}
	return d
}

// interrupt is Ctrl-C.
func (d *demo) interrupt(t *testing.T) string {
	t.Helper()
	if err := d.process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	all := <-d.output
	if err := d.process.Err(); err != nil {
		t.Errorf("it ended with %v\n%s", err, all)
	}
	return all
}

// freeShift is a number that can be added to all ports.
func freeShift(t *testing.T) int {
	t.Helper()
	for range 20 {
		o := &options{shift: 1000 + rand.IntN(20_000)}
		c := &cluster{o: o, address: func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+o.shift)) }}
		if c.portsAreFree() == nil {
			return o.shift
		}
	}
	t.Fatal("no free ports")
	return 0
}

// TestCluster starts the command, uses the cluster as a client does, stops it with Ctrl-C, and finds everything there at the next start.
func TestCluster(t *testing.T) {
	const records = 100
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // MinIO may have to be built
	defer cancel()
	dir, shift := t.TempDir(), freeShift(t)
	d := start(t, dir, shift)
	client, err := kgo.NewClient(kgo.SeedBrokers(d.kafka...), kgo.DefaultProduceTopic("orders"), kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 3, 3, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	var sent []*kgo.Record
	for i := range records {
		sent = append(sent, kgo.StringRecord(fmt.Sprint(i)))
	}
	if err := client.ProduceSync(ctx, sent...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	second := exec.CommandContext(ctx, os.Args[0], "-dir", dir, "-shift", strconv.Itoa(shift))
	second.Env = append(os.Environ(), asCommand+"=1")
	if output, err := second.CombinedOutput(); err == nil || !strings.Contains(string(output), "a port is taken") {
		t.Errorf("a second one at the same time: %v\n%s", err, output)
	}
	all := d.interrupt(t)
	for _, wanted := range []string{"broker 1 │ ready kafka=", "broker 3 │ ", "stopping broker 3\n", "stopping minio\n", "bucket=tideline"} {
		if !strings.Contains(all, wanted) {
			t.Errorf("%q is not in its output:\n%s", wanted, all)
		}
	}
	if strings.Contains(all, "\x1b") {
		t.Errorf("colours where there is no terminal:\n%s", all)
	}

	d = start(t, dir, shift) // it finds its ports free, so nothing of the first is left
	consumer, err := kgo.NewClient(kgo.SeedBrokers(d.kafka...), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	found := map[string]bool{}
	for len(found) < records {
		fetches := consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records are there", len(found), records)
		}
		fetches.EachRecord(func(r *kgo.Record) { found[string(r.Value)] = true })
	}
	d.interrupt(t)
}

func TestLines(t *testing.T) {
	var out strings.Builder
	l := &lines{to: &out, colour: true}
	a, b := l.of("a"), l.of("b")
	for _, w := range []struct {
		to   *writer
		text string
	}{{a, "one\ntw"}, {b, "ready kafka=x\n"}, {a, "o\n\n"}, {b, "cut off"}} {
		if n, err := io.WriteString(w.to, w.text); n != len(w.text) || err != nil {
			t.Errorf("wrote %d of %q: %v", n, w.text, err)
		}
	}
	b.end()
	b.end()
	if want := "\x1b[35ma        │ \x1b[0mone\n\x1b[36mb        │ \x1b[0mready kafka=x\n\x1b[35ma        │ \x1b[0mtwo\n" +
		"\x1b[35ma        │ \x1b[0m\n\x1b[36mb        │ \x1b[0mcut off\n"; out.String() != want {
		t.Errorf("printed %q\nwanted  %q", out.String(), want)
	}
	select {
	case line := <-b.ready:
		if line != "ready kafka=x" {
			t.Errorf("ready line %q", line)
		}
	default:
		t.Error("no ready line was seen")
	}
	if n, err := a.Write([]byte(strings.Repeat("x", 3*maxLine))); n != 3*maxLine || err != nil || len(a.rest) > maxLine {
		t.Errorf("a line without end: wrote %d, kept %d, %v", n, len(a.rest), err)
	}
}
