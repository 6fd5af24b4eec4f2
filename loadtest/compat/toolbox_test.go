package compat

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// toolClasses are the main classes behind Kafka's shell scripts, by the scripts' names without "kafka-".
var toolClasses = map[string]string{
	"acls":                   "org.apache.kafka.tools.AclCommand",
	"broker-api-versions":    brokerAPIVersion,
	"client-metrics":         "org.apache.kafka.tools.ClientMetricsCommand",
	"cluster":                clusterTool,
	"configs":                configCommand,
	"console-consumer":       consoleConsumer,
	"console-producer":       consoleProducer,
	"console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
	"consumer-groups":        groupCommand,
	"consumer-perf-test":     consumerPerf,
	"delegation-tokens":      "org.apache.kafka.tools.DelegationTokenCommand",
	"delete-records":         deleteRecords,
	"e2e-latency":            "org.apache.kafka.tools.EndToEndLatency",
	"features":               featureTool,
	"get-offsets":            getOffsets,
	"groups":                 "org.apache.kafka.tools.GroupsCommand",
	"leader-election":        leaderElection,
	"log-dirs":               logDirs,
	"metadata-quorum":        metadataQuorum,
	"producer-perf-test":     producerPerf,
	"reassign-partitions":    reassignTool,
	"replica-verification":   "org.apache.kafka.tools.ReplicaVerificationTool",
	"share-consumer-perf":    "org.apache.kafka.tools.ShareConsumerPerformance",
	"share-groups":           "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
	"streams-groups":         "org.apache.kafka.tools.streams.StreamsGroupCommand",
	"streams-reset":          "org.apache.kafka.tools.StreamsResetter",
	"topics":                 topicCommand,
	"transactions":           "org.apache.kafka.tools.TransactionsCommand",
	"verifiable-consumer":    "org.apache.kafka.tools.VerifiableConsumer",
	"verifiable-producer":    "org.apache.kafka.tools.VerifiableProducer",
	"verifiable-share":       "org.apache.kafka.tools.VerifiableShareConsumer",
}

// serverFirst are the tools whose subcommands know no --bootstrap-server: it stands before them.
var serverFirst = map[string]bool{"features": true, "metadata-quorum": true, "transactions": true}

// A toolbox is one Java process that runs Kafka's tools, clients/java/Tools.java: a process for each would cost seconds. One goroutine
// uses it.
type toolbox struct {
	t       testing.TB
	session *session
	read    int // lines of the session that are in runs
	last    int // id
	runs    map[int]*toolRun
}

// toolRun is one run of a tool, as far as the toolbox has read.
type toolRun struct {
	box      *toolbox
	id       int
	what     string
	out, err []string
	exit     *int
}

func startToolbox(t testing.TB) *toolbox {
	t.Helper()
	path := strings.Join([]string{classes(t), filepath.Join(jars(t), "*")}, string(os.PathListSeparator))
	cmd := exec.Command("java", append(slices.Clone(javaFlags), "--add-opens=java.base/java.lang=ALL-UNNAMED", "-cp", path, "Tools")...)
	return &toolbox{t: t, session: startSession(t, "tools", cmd), runs: map[int]*toolRun{}}
}

// start runs a tool: its script's name without "kafka-", and its arguments, which may be quoted.
func (b *toolbox) start(addr, command, input string) *toolRun {
	b.t.Helper()
	words := splitWords(b.t, command)
	class, ok := toolClasses[words[0]]
	if !ok {
		b.t.Fatalf("no tool %q", words[0])
	}
	args := words[1:]
	server := []string{"--bootstrap-server", addr}
	switch {
	case slices.Contains(args, "--bootstrap-server") || slices.Contains(args, "--help") || slices.Contains(args, "--version"):
	case serverFirst[words[0]]:
		args = append(server, args...)
	default:
		args = append(args, server...)
	}
	b.last++
	run := &toolRun{box: b, id: b.last, what: command}
	b.runs[run.id] = run
	b.command(map[string]any{"id": run.id, "class": class, "args": args, "input": input})
	return run
}

// command sends the Java process a line.
func (b *toolbox) command(line map[string]any) {
	b.t.Helper()
	text, err := json.Marshal(line)
	if err == nil {
		_, err = b.session.buffer.Write(append(text, '\n'))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.session.flush()
}

// take moves what the process has printed to the runs that it is of.
func (b *toolbox) take() {
	lines, ended, _ := b.session.output.from(b.read)
	b.read += len(lines)
	for _, line := range lines {
		var said struct {
			ID       int
			Out, Err *string
			Exit     *int
		}
		if err := json.Unmarshal(line, &said); err != nil {
			b.t.Fatalf("%v in %s", err, line)
		}
		run := b.runs[said.ID]
		switch {
		case said.Out != nil:
			run.out = append(run.out, *said.Out)
		case said.Err != nil:
			run.err = append(run.err, *said.Err)
		case run.exit == nil:
			run.exit = said.Exit
		}
	}
	if ended {
		b.t.Fatal("the tools' process has ended")
	}
}

// toolTimeout bounds one run of a tool: the tools themselves give up after a minute.
const toolTimeout = 100 * time.Second

// until reads what runs print until done, or until the run's end; false: neither came.
func (r *toolRun) until(done func() bool) bool {
	r.box.t.Helper()
	timer := time.NewTimer(toolTimeout)
	defer timer.Stop()
	for {
		_, _, more := r.box.session.output.from(r.box.read)
		if r.box.take(); r.exit != nil || done() {
			return true
		}
		select {
		case <-more:
		case <-timer.C:
			return false
		}
	}
}

// prints waits until the tool has printed so many lines.
func (r *toolRun) prints(lines int) {
	r.box.t.Helper()
	if !r.until(func() bool { return len(r.out) >= lines }) || len(r.out) < lines {
		r.box.t.Errorf("%s: not %d lines:\n%s\n%s", r.what, lines, strings.Join(r.out, "\n"), strings.Join(r.err, "\n"))
	}
}

// wait waits for its end.
func (r *toolRun) wait() *toolRun {
	r.box.t.Helper()
	if !r.until(func() bool { return false }) {
		r.box.t.Errorf("%s: no end:\n%s\n%s", r.what, strings.Join(r.out, "\n"), strings.Join(r.err, "\n"))
		none := -1
		r.exit = &none
	}
	return r
}

// stop ends it as a signal would, and waits.
func (r *toolRun) stop() *toolRun {
	r.box.t.Helper()
	r.box.command(map[string]any{"stop": r.id})
	return r.wait()
}

// splitWords parts a line at its spaces, except within single quotes.
func splitWords(t testing.TB, line string) []string {
	t.Helper()
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	if strings.Count(line, "'")%2 == 1 || len(words) == 0 {
		t.Fatalf("not a command: %q", line)
	}
	return words
}

// A toolSide is one of the two brokers on which the tools are run, and all that they printed.
type toolSide struct {
	t          testing.TB
	name       string
	addr       string
	sasl       string // the address where clients say who they are
	dir        string // where the broker has its data
	box        *toolbox
	transcript []said
	numbers    map[string]int
	files      string // a directory
}

// A toolWay says how the output of one command is looked at.
type toolWay func(w *toolLook)

type toolLook struct {
	input   string
	until   *regexp.Regexp
	sorted  bool
	only    *regexp.Regexp
	hide    []*regexp.Regexp
	without []*regexp.Regexp
}

// input is what the tool reads from its standard input.
func input(text string) toolWay { return func(w *toolLook) { w.input = text } }

// again runs the tool until its output matches: what it shows comes by and by.
func again(pattern string) toolWay {
	return func(w *toolLook) { w.until = regexp.MustCompile("(?m)" + pattern) }
}

// inAnyOrder: the order of the lines is that of a hash table.
func inAnyOrder(w *toolLook) { w.sorted = true }

// only the lines that match are compared.
func only(pattern string) toolWay { return func(w *toolLook) { w.only = regexp.MustCompile(pattern) } }

// hide makes what matches look alike on both sides, since it is each side's own.
func hide(pattern string) toolWay {
	return func(w *toolLook) { w.hide = append(w.hide, regexp.MustCompile(pattern)) }
}

// without leaves out what matches, which one side has more.
func without(pattern string) toolWay {
	return func(w *toolLook) { w.without = append(w.without, regexp.MustCompile(pattern)) }
}

// run runs a tool and notes what it printed and how it ended.
func (s *toolSide) run(command string, ways ...toolWay) *toolRun {
	s.t.Helper()
	return s.as(command, command, ways...)
}

// as is run for a command that is each side's own: it is noted under a name.
func (s *toolSide) as(name, command string, ways ...toolWay) *toolRun {
	s.t.Helper()
	var look toolLook
	for _, way := range ways {
		way(&look)
	}
	var run *toolRun
	done := func() bool {
		run = s.start(command, look.input).wait()
		return look.until == nil || look.until.MatchString(strings.Join(run.out, "\n"))
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	// What does not come is noted, and so is a difference.
	for deadline := time.Now().Add(callTimeout); !done() && time.Now().Before(deadline); {
		<-tick.C
	}
	s.note(name, run, look)
	return run
}

// start runs a tool and does not wait.
func (s *toolSide) start(command, input string) *toolRun {
	s.t.Helper()
	return s.box.start(s.addr, strings.NewReplacer("{files}", s.files, "{sasl}", s.sasl).Replace(command), input)
}

// ended notes what a tool that was started printed.
func (s *toolSide) ended(run *toolRun, ways ...toolWay) {
	s.t.Helper()
	var look toolLook
	for _, way := range ways {
		way(&look)
	}
	s.note(run.what, run, look)
}

func (s *toolSide) note(command string, run *toolRun, look toolLook) {
	step := command
	s.numbers[step]++
	if n := s.numbers[step]; n > 1 {
		step = fmt.Sprintf("%s (%d)", step, n)
	}
	for _, stream := range []struct {
		name  string
		lines []string
	}{{"", run.out}, {"err: ", run.err}} {
		var lines []string
		for _, line := range stream.lines {
			if line = s.normal(line, look); line != "" && (look.only == nil || look.only.MatchString(line)) {
				lines = append(lines, stream.name+line)
			}
		}
		if look.sorted {
			slices.Sort(lines)
		}
		for _, line := range lines {
			s.transcript = append(s.transcript, said{step, "", line})
		}
	}
	s.transcript = append(s.transcript, said{step, "", fmt.Sprintf("exit %d", *run.exit)})
}

var (
	toolSpaces = regexp.MustCompile(`[ \t]+`)
	toolOwn    = []struct {
		pattern *regexp.Regexp
		as      string
	}{
		{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<id>"},
		{regexp.MustCompile(`(^|[ =:"(])([A-Za-z0-9_-]{22})($|[ ,)"])`), "$1<id>$3"},
		{regexp.MustCompile(`\b1[0-9]{12}\b`), "<time>"},
		{regexp.MustCompile(`\b20[2-9]\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|\+00:00)?`), "<time>"},
	}
	// Warnings of the Java machine, and where in the tool's source an error was met.
	toolNoise = regexp.MustCompile(`^SLF4J: |^OpenJDK |^at |^\.\.\. \d+ more|^(Caused by|Suppressed): `)
	// What errors say is for people, and each side has its own words. The class is what counts.
	toolWords = regexp.MustCompile(`(org\.apache\.kafka\.common\.errors\.\w+: |^Error while executing [\w ]+ command ?: ).+`)
)

// normal is a line without what is each side's own: addresses, identifiers, times, the width of columns.
func (s *toolSide) normal(line string, look toolLook) string {
	line = strings.TrimSpace(toolSpaces.ReplaceAllString(line, " "))
	if toolNoise.MatchString(line) {
		return ""
	}
	line = toolWords.ReplaceAllString(line, "$1<words>")
	host, port, _ := strings.Cut(s.addr, ":")
	line = strings.ReplaceAll(line, s.addr, "<addr>")
	line = strings.ReplaceAll(line, host+" "+port, "<host> <port>")
	line = strings.ReplaceAll(line, s.files, "<files>")
	line = strings.ReplaceAll(line, s.dir, "<dir>")
	for _, pattern := range look.without {
		line = pattern.ReplaceAllString(line, "")
	}
	for _, pattern := range look.hide {
		line = pattern.ReplaceAllString(line, "<own>")
	}
	for _, own := range toolOwn {
		line = own.pattern.ReplaceAllString(line, own.as)
	}
	return line
}

// file writes a file that commands name {files}/NAME.
func (s *toolSide) file(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.files, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// lineDifference tells how the lines of each command differ: those that only one side has, and those that take each other's place.
func lineDifference(kafka, tideline []said) []string {
	group := func(all []said) (order []string, lines map[string][]string) {
		lines = map[string][]string{}
		for _, one := range all {
			if _, ok := lines[one.step]; !ok {
				order = append(order, one.step)
			}
			lines[one.step] = append(lines[one.step], one.value)
		}
		return order, lines
	}
	order, theirs := group(kafka)
	more, ours := group(tideline)
	for _, step := range more {
		if !slices.Contains(order, step) {
			order = append(order, step)
		}
	}
	var found []string
	for _, step := range order {
		a, b := theirs[step], ours[step]
		var gone, come []string
		flush := func() {
			for len(gone) > 0 || len(come) > 0 {
				x, y := "nothing", "nothing"
				if len(gone) > 0 {
					x, gone = gone[0], gone[1:]
				}
				if len(come) > 0 {
					y, come = come[0], come[1:]
				}
				found = append(found, fmt.Sprintf("%s: kafka=%s tideline=%s", step, x, y))
			}
		}
		common := longestCommon(a, b)
		i, j := 0, 0
		for _, pair := range append(common, [2]int{len(a), len(b)}) {
			gone, come = append(gone, a[i:pair[0]]...), append(come, b[j:pair[1]]...)
			flush()
			i, j = pair[0]+1, pair[1]+1
		}
	}
	return found
}

// longestCommon are the places of a longest common subsequence.
func longestCommon(a, b []string) (pairs [][2]int) {
	best := make([][]int, len(a)+1)
	for i := range best {
		best[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				best[i][j] = best[i+1][j+1] + 1
			} else {
				best[i][j] = max(best[i+1][j], best[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case best[i+1][j] >= best[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// A toolScenario runs tools on one side.
type toolScenario struct {
	name    string
	run     func(s *toolSide)
	allowed []allowance
}

// compareTools runs a scenario on both sides and compares what the tools printed.
func compareTools(t *testing.T, sides [2]*toolSide, one toolScenario) {
	t.Helper()
	for _, s := range sides {
		s.t, s.box.t, s.transcript, s.numbers, s.files = t, t, nil, map[string]int{}, t.TempDir()
		one.run(s)
	}
	keepTranscripts(t, map[string][]said{sides[0].name: sides[0].transcript, sides[1].name: sides[1].transcript})
	judge(t, lineDifference(sides[0].transcript, sides[1].transcript), slices.Concat(toolsAllowed, one.allowed))
}

// toolsAllowed are the differences that may be in the output of any tool.
var toolsAllowed = []allowance{}
