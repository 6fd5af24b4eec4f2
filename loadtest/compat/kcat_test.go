package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/brokertest"
)

// runKcat runs kcat with some input and returns its output.
func runKcat(t testing.TB, addr, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), workerTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, kcat(t), append([]string{"-b", addr}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(output)
}

// kcatRecord is what kcat -J prints.
type kcatRecord struct {
	Partition int32
	Offset    int64
	TS        int64
	Headers   []string
	Key       *string
	Payload   *string
}

func kcatRecords(t testing.TB, output string) []kcatRecord {
	t.Helper()
	var all []kcatRecord
	for line := range strings.Lines(output) {
		var r kcatRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("kcat: %v in %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// TestKcat uses kcat as its manual says: lines with keys and headers in every codec, JSON out, from the beginning, an offset, a time, the
// end, and as a member of a group.
func TestKcat(t *testing.T) {
	p := brokertest.Start(t, brokertest.Options{Settings: quick})
	p.Run("topic", "create", "lines", "--partitions", "1")
	const each = 10
	for i, codec := range allCodecs {
		var input strings.Builder
		for n := range each {
			fmt.Fprintf(&input, "key %d:%s line %d with some text\n", n, codec, i*each+n)
		}
		runKcat(t, p.Addr(), input.String(), "-P", "-t", "lines", "-p", "0", "-K:", "-z", codec, "-H", "codec="+codec, "-X", "acks=all")
	}
	total := each * len(allCodecs)
	all := kcatRecords(t, runKcat(t, p.Addr(), "", "-C", "-t", "lines", "-o", "beginning", "-e", "-q", "-J"))
	if len(all) != total {
		t.Fatalf("from the beginning: %d records, want %d", len(all), total)
	}
	for i, r := range all {
		codec := allCodecs[i/each]
		want := fmt.Sprintf("%s line %d with some text", codec, i)
		if r.Offset != int64(i) || r.Key == nil || *r.Key != fmt.Sprintf("key %d", i%each) || r.Payload == nil || *r.Payload != want {
			t.Errorf("record %d: %+v", i, r)
		}
		if len(r.Headers) != 2 || r.Headers[0] != "codec" || r.Headers[1] != codec {
			t.Errorf("record %d: headers %q", i, r.Headers)
		}
	}
	firstOf := func(args ...string) []kcatRecord {
		t.Helper()
		return kcatRecords(t, runKcat(t, p.Addr(), "", append([]string{"-C", "-t", "lines", "-e", "-q", "-J"}, args...)...))
	}
	if got := firstOf("-o", "23"); len(got) != total-23 || got[0].Offset != 23 {
		t.Errorf("from offset 23: %d records", len(got))
	}
	if got := firstOf("-o", "-7"); len(got) != 7 || got[0].Offset != int64(total-7) {
		t.Errorf("7 before the end: %d records", len(got))
	}
	at := all[2*each].TS
	first := 0
	for all[first].TS < at {
		first++
	}
	if got := firstOf("-o", fmt.Sprintf("s@%d", at)); len(got) != total-first || got[0].Offset != int64(first) {
		t.Errorf("from time %d: %d records, want %d", at, len(got), total-first)
	}
	// Two members one after the other: the second goes on where the first has committed.
	group := func(count int) []kcatRecord {
		t.Helper()
		return kcatRecords(t, runKcat(t, p.Addr(), "", "-G", "kcats", "-X", "auto.offset.reset=earliest", "-q", "-J", "-c", fmt.Sprint(count), "lines"))
	}
	one := group(30)
	if len(one) != 30 || one[29].Offset != 29 {
		t.Fatalf("the first member read %d records", len(one))
	}
	two := group(total - 30)
	if len(two) != total-30 || two[0].Offset != 30 {
		t.Errorf("the second member read %d records from %+v on", len(two), two[:min(len(two), 1)])
	}
	list := runKcat(t, p.Addr(), "", "-L", "-t", "lines")
	if !containsAll(list, `topic "lines" with 1 partitions`, "partition 0, leader 1") {
		t.Errorf("kcat -L:\n%s", list)
	}
	if query := runKcat(t, p.Addr(), "", "-Q", "-t", "lines:0:-1"); !strings.Contains(query, fmt.Sprintf("lines [0] offset %d", total)) {
		t.Errorf("kcat -Q:\n%s", query)
	}
}
