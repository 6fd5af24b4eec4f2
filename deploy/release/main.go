package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &release{source: &source{}}
	flag.StringVar(&r.source.root, "root", ".", "the repository, `directory`")
	flag.StringVar(&r.source.version, "version", "", "what git describe says of the commit")
	flag.StringVar(&r.source.commit, "commit", "", "the `hash` of the commit")
	epoch := flag.Int64("epoch", 0, "the time of the commit, `seconds` since 1970")
	flag.StringVar(&r.out, "out", "dist", "where everything goes, `directory`; what a former release has left there is removed")
	archs := flag.String("arch", "amd64,arm64", "for which machines")
	flag.Parse()
	r.when, r.archs = time.Unix(*epoch, 0), strings.Split(*archs, ",")
	if err := r.make(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
