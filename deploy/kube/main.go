package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	programs := flag.String("programs", "../../.tools/kube", "`directory` with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and helm")
	keep := flag.Bool("keep", false, "stay up at the end, until a signal comes, for a look with kubectl")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *programs, *keep); err != nil {
		fmt.Fprintf(os.Stderr, "kube: %v\n", err)
		os.Exit(1)
	}
}

// patience is how long the control plane may take to come up, and each step to be done. All of them take less than a
// minute on a small machine that has nothing else to do.
const patience = 5 * time.Minute

func run(ctx context.Context, programs string, keep bool) (err error) {
	programs, err = filepath.Abs(programs)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tideline-kube-")
	if err != nil {
		return err
	}
	began := time.Now()
	starting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := startPlane(starting, programs, dir)
	defer func() {
		stopped := p.stop()
		if err != nil || stopped != nil {
			err = fmt.Errorf("%w (logs are in %s)", firstOf(err, stopped), dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	if err != nil {
		return err
	}
	fmt.Printf("the API server is up, after %s\n", time.Since(began).Round(time.Second))
	w, err := newWorld(starting, p)
	if err != nil {
		return err
	}
	playing, cease := context.WithCancel(ctx)
	ceased := make(chan struct{})
	go func() {
		defer close(ceased)
		w.kubelets.run(playing)
	}()
	defer func() { // before those are stopped whom it speaks to
		cease()
		<-ceased
	}()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"three brokers in three zones, under the restricted profile", w.install},
		{"while one is away, a second one is not evicted", w.evict},
		{"a rolling update takes one after the other, and waits for each", w.update},
		{"asked before, an upgrade goes on only when all is well", w.asked},
		{"one broker more restarts nobody", w.grow},
		{"uninstalled, it leaves the claims and nothing else", w.uninstall},
		{"a StatefulSet for each zone: only the zone whose turn it is restarts", w.zones},
		{"what else the chart can make is admitted", w.admitted},
	} {
		began := time.Now()
		ctx, cancel := context.WithTimeout(ctx, patience)
		err := step.do(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Printf("ok  %-75s %s\n", step.what, time.Since(began).Round(time.Second))
	}
	if keep {
		fmt.Printf("KUBECONFIG=%s\n", p.kubeconfig)
		<-ctx.Done()
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
