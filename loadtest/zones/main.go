//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/internal/devtools"
)

// The first argument of the two processes that this program starts of itself; nobody else has a use for them.
const (
	regionVerb  = "region"  // in namespaces of its own: the story
	machineVerb = "machine" // in those of a machine: until it is that machine's first process
)

// options are the command's flags, and what was prepared before the namespaces.
type options struct {
	Root    string // the repository
	Dir     string // of this run
	Base    string // the root that all machines begin with
	Package string // a .deb
	Mirror  string // of Debian
	MinIO   string // the program
	Jars    string // of Apache Kafka
	Groups  string // our directory among the control groups
	Began   time.Time
	Lasts   time.Duration
	Keep    bool
}

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == regionVerb:
		err = region(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == machineVerb:
		err = become(os.Args[2])
	default:
		err = outside()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "zones:", err)
		os.Exit(1)
	}
}

// outside is the process that was started: it prepares what needs the world, and starts the region, in which there is none.
func outside() (err error) {
	root, err := devtools.Root()
	if err != nil {
		return err
	}
	o := options{Root: root, Began: time.Now()}
	flag.StringVar(&o.Dir, "dir", filepath.Join(root, ".data", "zones"), "logs, and the disks while it runs")
	flag.StringVar(&o.Base, "base", filepath.Join(root, ".tools", "zones", "base"), "the root that machines begin with; made when it is not there")
	flag.StringVar(&o.Package, "package", "", "the .deb that the machines install (default: made from this tree)")
	flag.StringVar(&o.Mirror, "mirror", "", "URL of a mirror of Debian (default: that of this machine's apt)")
	flag.DurationVar(&o.Lasts, "lasts", time.Minute, "how long the checker writes at least")
	flag.BoolVar(&o.Keep, "keep", false, "leave the disks of the machines behind")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected arguments: %q", flag.Args())
	}
	if err := needs(); err != nil {
		return err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(o.Dir, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	logFile, err := os.Create(filepath.Join(o.Dir, "zones.log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logFile.Close()) }()
	say := &teller{io.MultiWriter(os.Stdout, logFile), o.Began}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := clear(&o); err != nil { // what the last run has kept, or left when it was killed
		return err
	}
	if err := prepare(ctx, &o, say); err != nil {
		return err
	}
	if o.Groups, err = makeGroups(); err != nil {
		return err
	}
	// Processes, mounts, networks and with them the loop devices are gone with the region; these two are not.
	defer func() {
		err = errors.Join(err, removeGroups(o.Groups))
		if !o.Keep {
			err = errors.Join(err, clear(&o))
		}
	}()
	cmd, err := again(regionVerb, &o)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, logFile), io.MultiWriter(os.Stderr, logFile)
	p, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("namespaces of its own: %w", err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return errors.Join(errors.New("interrupted"), p.Kill())
	}
	if p.Err() != nil {
		return fmt.Errorf("it failed; see %s", o.Dir)
	}
	return nil
}
