package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

func main() {
	o := options{}
	flag.DurationVar(&o.each, "time", 2*time.Minute, "for each target")
	only := flag.String("only", "", "run targets whose \"PACKAGE TARGET\" this matches")
	not := flag.String("not", "", "but not those that this matches")
	flag.StringVar(&o.out, "out", "bin/fuzz/results.jsonl", "the file of the results")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil && *not != "" {
		o.not, err = regexp.Compile(*not)
	}
	if err == nil {
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// workDir has the test programs.
const workDir = "bin/fuzz"

type options struct {
	each time.Duration
	only *regexp.Regexp
	not  *regexp.Regexp // nil: none
	out  string
}

// target is one function.
type target struct{ Package, Target string }

// result is a line of the file.
type result struct {
	Package     string    `json:"package"`
	Target      string    `json:"target"`
	Seconds     float64   `json:"seconds"`
	CPUSeconds  float64   `json:"cpu_seconds"`
	Executions  int64     `json:"executions"`
	Interesting int64     `json:"interesting"`
	PeakBytes   int64     `json:"peak_bytes,omitempty"`
	OK          bool      `json:"ok"`
	Commit      string    `json:"commit"`
	At          time.Time `json:"at"`
}

func (o *options) run() error {
	targets, err := find(".")
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return errors.New("no targets: run it from the root of the repository")
	}
	if err := os.MkdirAll(workDir, 0o755); err != nil {
		return err
	}
	results, err := readResults(o.out)
	if err != nil {
		return err
	}
	ran := make(map[target]bool)
	for _, r := range results {
		ran[target{r.Package, r.Target}] = ran[target{r.Package, r.Target}] || r.OK
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	built := make(map[string]bool)
	for _, t := range targets {
		if name := t.Package + " " + t.Target; ran[t] || !o.only.MatchString(name) || o.not != nil && o.not.MatchString(name) {
			continue
		}
		select {
		case <-interrupted:
			return errors.Join(errors.New("interrupted"), summarize(results))
		default:
		}
		if !built[t.Package] {
			if err := build(t.Package); err != nil {
				return err
			}
			built[t.Package] = true
		}
		r, err := o.fuzz(t)
		if err != nil {
			return err
		}
		if err := appendResult(o.out, r); err != nil {
			return err
		}
		results = append(results, r)
	}
	return summarize(results)
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// find returns all targets below a folder, in the order of their names.
func find(root string) (targets []target, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			other := path == filepath.Join(root, "loadtest", "compat") || name == "testdata" || name == "node_modules" || path == filepath.Join(root, "bin")
			if other || len(name) > 1 && strings.HasPrefix(name, ".") {
				return fs.SkipDir // of other modules, or not source
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range declaration.FindAllSubmatch(b, -1) {
			targets = append(targets, target{"./" + filepath.ToSlash(filepath.Dir(path)), string(m[1])})
		}
		return nil
	})
	sort.Slice(targets, func(i, j int) bool {
		a, b := targets[i], targets[j]
		return a.Package < b.Package || a.Package == b.Package && a.Target < b.Target
	})
	return targets, err
}

func program(pkg string) string {
	return filepath.Join(workDir, strings.NewReplacer("./", "", "/", "-").Replace(pkg)+".test")
}

func build(pkg string) error {
	fmt.Println("building", pkg)
	cmd := exec.Command("go", "test", "-c", "-fuzz=.", "-o", program(pkg), pkg)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// deadlineOnly is what the engine says when its time was over in the middle of an input,
// which is no failure of the target's.
var deadlineOnly = regexp.MustCompile(`(?s)\A[^F]*--- FAIL: Fuzz\w+ \([^)]*\)\s+context deadline exceeded\s+FAIL\s*\z`)

var progress = regexp.MustCompile(`fuzz: elapsed: .*execs: (\d+) .*new interesting: (\d+)`)

// fuzz runs one target. A target that fails is a result, not an error.
func (o *options) fuzz(t target) (result, error) {
	path, err := filepath.Abs(program(t.Package))
	if err != nil {
		return result{}, err
	}
	cache, err := filepath.Abs(filepath.Join(workDir, "corpus", strings.TrimPrefix(t.Package, "./")))
	if err != nil {
		return result{}, err
	}
	cmd := exec.Command(path, "-test.run=^$", "-test.fuzz=^"+t.Target+"$", "-test.fuzztime="+o.each.String(), "-test.fuzzcachedir="+cache)
	cmd.Dir = t.Package
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	cmd.Stderr = cmd.Stdout
	r := result{Package: t.Package, Target: t.Target, Commit: commit(), At: time.Now().UTC().Truncate(time.Second)}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	said := r.follow(out)
	err = cmd.Wait()
	r.Seconds = time.Since(begin).Seconds()
	r.CPUSeconds = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	r.PeakBytes = peakBytes(cmd.ProcessState)
	r.OK = err == nil || deadlineOnly.MatchString(said)
	fmt.Printf("%-28s %-40s %5.0f s, %5.0f s of CPU, %9d executions, %4d MiB %s\n", t.Package, t.Target, r.Seconds, r.CPUSeconds, r.Executions, r.PeakBytes>>20, verdict(r.OK))
	if !r.OK {
		fmt.Println(said)
	}
	return r, nil
}

// keptLines are shown of a target that fails.
const keptLines = 200

// follow reads what the engine says, and returns the end of it.
func (r *result) follow(out io.Reader) string {
	var kept []string
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := progress.FindStringSubmatch(line); m != nil {
			r.Executions, _ = strconv.ParseInt(m[1], 10, 64) // digits; too many of them are as many as fit
			r.Interesting, _ = strconv.ParseInt(m[2], 10, 64)
			continue
		}
		if kept = append(kept, line); len(kept) > keptLines {
			kept = kept[1:]
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil { // a line that was too long ends the scanner, not the engine
		kept = append(kept, err.Error())
	}
	return strings.Join(kept, "\n")
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "FAILED"
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func readResults(path string) (results []result, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if line == "" {
			continue
		}
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("%s: line=%d: %w", path, i+1, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func appendResult(path string, r result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// summarize adds up what the file says. The last result of a target counts for whether it
// is well, all of them for how long it ran.
func summarize(results []result) error {
	last := make(map[target]result)
	var seconds, cpu float64
	var executions, peak int64
	for _, r := range results {
		last[target{r.Package, r.Target}] = r
		seconds, cpu, executions, peak = seconds+r.Seconds, cpu+r.CPUSeconds, executions+r.Executions, max(peak, r.PeakBytes)
	}
	var failed []string
	shortest := result{}
	for t, r := range last {
		if !r.OK {
			failed = append(failed, t.Package+" "+t.Target)
		} else if shortest.Target == "" || r.Seconds < shortest.Seconds {
			shortest = r
		}
	}
	fmt.Printf("targets=%d hours=%.2f cpu_hours=%.2f executions=%d greatest_peak_mib=%d shortest=%s:%.0fs failed=%d\n",
		len(last), seconds/3600, cpu/3600, executions, peak>>20, shortest.Target, shortest.Seconds, len(failed))
	if len(failed) > 0 {
		sort.Strings(failed)
		return fmt.Errorf("targets failed: %s", strings.Join(failed, ", "))
	}
	return nil
}
