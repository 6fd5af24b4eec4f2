//go:build !linux

package main

import (
	"os/exec"
	"runtime"
	"time"
)

// The benchmark reads /proc and runs on Linux only; elsewhere it compiles and says so.

func dieWithParent(*exec.Cmd)  {}
func beNice()                  {}
func syncDisks()               {}
func kernel() string           { return runtime.GOOS }
func fileSystem(string) string { return "unknown" }

var began = time.Now()

func monotonic() int64 { return int64(time.Since(began)) }

func sleepUntil(at int64) error {
	<-time.After(time.Duration(at - monotonic()))
	return nil
}

const tick = 10 * time.Millisecond
