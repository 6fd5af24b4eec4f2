package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	targets, err := find(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []target{{"./wal", "FuzzFrame"}, {"./broker/wire", "FuzzShape"}, {"./loadtest/hostile", "FuzzRequestMetadata"}} {
		if !slices.Contains(targets, want) {
			t.Errorf("%v is not found", want)
		}
	}
	if p := program("./broker/wire"); !strings.HasSuffix(p, "broker-wire.test") {
		t.Error(p)
	}
}

func TestFollow(t *testing.T) {
	r := result{}
	said := r.follow(strings.NewReader("fuzz: elapsed: 0s, gathering baseline coverage: 0/192 completed\n" +
		"fuzz: elapsed: 3s, execs: 325017 (108336/sec), new interesting: 11 (total: 202)\n" +
		"fuzz: elapsed: 6s, execs: 680218 (118402/sec), new interesting: 12 (total: 203)\n--- FAIL: FuzzFrame\n    panic: x\n"))
	if r.Executions != 680218 || r.Interesting != 12 {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(said, "panic: x") || strings.Contains(said, "execs") {
		t.Errorf("%q", said)
	}
}

func TestDeadlineOnly(t *testing.T) {
	const end = "fuzz: elapsed: 0s, gathering baseline coverage: 4/4 completed, now fuzzing with 1 workers\n--- FAIL: FuzzA (6.31s)\n    context deadline exceeded\nFAIL\n"
	if !deadlineOnly.MatchString(end) {
		t.Error("the engine's own deadline is a failure")
	}
	for _, s := range []string{"--- FAIL: FuzzA (6.31s)\n    a_test.go:3: context deadline exceeded\nFAIL\n", "--- FAIL: FuzzA (1s)\n    panic: x\nFAIL\n", ""} {
		if deadlineOnly.MatchString(s) {
			t.Errorf("no failure: %q", s)
		}
	}
}

func TestResults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	if r, err := readResults(path); err != nil || len(r) != 0 {
		t.Fatal(r, err)
	}
	for _, r := range []result{{Package: "./a", Target: "FuzzA", OK: false}, {Package: "./a", Target: "FuzzA", Seconds: 2, OK: true}} {
		if err := appendResult(path, r); err != nil {
			t.Fatal(err)
		}
	}
	results, err := readResults(path)
	if err != nil || len(results) != 2 {
		t.Fatal(results, err)
	}
	if err := summarize(results); err != nil {
		t.Errorf("a target that was mended: %v", err)
	}
	if err := summarize(results[:1]); err == nil || !strings.Contains(err.Error(), "./a FuzzA") {
		t.Errorf("a target that failed: %v", err)
	}
}
