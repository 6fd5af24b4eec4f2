//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tidelinehq/tideline/internal/devtools"
)

// prepare has everything ready that comes from outside, since there is no way out of the region.
func prepare(ctx context.Context, o *options, say *teller) (err error) {
	if o.MinIO, err = devtools.Path(ctx, "minio"); err != nil {
		return err
	}
	if o.Jars, err = quietly(ctx, o.Root, "scripts/kafka.sh"); err != nil {
		return err
	}
	if err := base(ctx, o, say); err != nil {
		return err
	}
	if o.Package == "" {
		say.say("the package is made from this tree")
		if o.Package, err = pack(ctx, o); err != nil {
			return err
		}
	}
	if o.Package, err = filepath.Abs(o.Package); err != nil {
		return err
	}
	if err := certify(o); err != nil {
		return err
	}
	say.say("terraform renders the user data package=%s", filepath.Base(o.Package))
	return render(ctx, o)
}

// quietly runs a program and returns what it printed to standard output. What it had to say beside that is part of the error.
func quietly(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	// Interrupted, it may have children that would go on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w output=%s", program, errors.Join(err, ctx.Err()), tail(strings.TrimSpace(stderr.String()+stdout.String()), 2000))
	}
	return strings.TrimSpace(stdout.String()), nil
}

func sumOf(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// render has Terraform evaluate modules/cloudinit for each machine, as the modules of the clouds have it evaluated.
func render(ctx context.Context, o *options) error {
	sum, err := sumOf(o.Package)
	if err != nil {
		return err
	}
	dir := filepath.Join(o.Dir, "render")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Terraform takes a local module by a relative path only.
	module, err := filepath.Rel(dir, filepath.Join(o.Root, "terraform", "modules", "cloudinit"))
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(configuration(module, packageURL(o), sum), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf.json"), text, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"init"}, {"apply", "-auto-approve"}} {
		if _, err := quietly(ctx, dir, "terraform", append(args, "-input=false", "-no-color")...); err != nil {
			return err
		}
	}
	for id := 1; id <= zones; id++ {
		userData, err := quietly(ctx, dir, "terraform", "output", "-raw", "-no-color", planOf(id).name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, planOf(id).name), []byte(userData+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// userData is what was rendered for a machine.
func userData(o *options, p plan) (string, error) {
	text, err := os.ReadFile(filepath.Join(o.Dir, "render", p.name))
	return string(text), err
}

// configuration is a root module in Terraform's JSON: the module of the machines three times, and what it says.
func configuration(module, packageURL, sum string) map[string]any {
	modules, outputs := map[string]any{}, map[string]any{}
	var seeds []string
	for id := 1; id <= zones; id++ {
		seeds = append(seeds, planOf(id).rpc())
	}
	for id := 1; id <= zones; id++ {
		p := planOf(id)
		modules[p.name] = map[string]any{
			"source": module, "cluster": "zones", "node_id": p.id, "hostname": p.name, "zone": p.zone,
			"seeds": seeds, "rpc_advertised": p.rpc(),
			"listeners":    []any{map[string]any{"name": "CLIENT", "port": 9092, "advertised": p.kafka()}},
			"object_store": objectStore(),
			"package":      map[string]any{"url": packageURL, "sha256": sum},
			"data_device":  dataDisk,
			"secrets":      environmentReferences(),
			"tls":          certificateReferences(),
			"settings":     settings,
		}
		outputs[p.name] = map[string]any{"value": "${module." + p.name + ".user_data}"}
	}
	return map[string]any{"module": modules, "output": outputs}
}

// settings are those of the machines beside those that every machine has.
var settings = map[string]any{
	"tier.roll.ms":                     "2000", // so that the bucket matters within a minute
	"cache.disk.bytes":                 "256MiB",
	"wal.max.bytes":                    "1GiB",
	"offsets.topic.replication.factor": "3",
	// A broker that is back leads again within seconds, not minutes.
	"leader.imbalance.check.interval.seconds": "5",
}
