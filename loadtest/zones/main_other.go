//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "zones: it boots machines in namespaces and control groups, which only Linux has")
	os.Exit(1)
}
