package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/minios3"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

// minio is a MinIO server with one bucket, on loopback.
type minio struct {
	addr string
	proc *process
	env  []string // credentials, for those who use it
}

const bucket = "tideline"

// startMinIO builds MinIO if need be and starts it on an empty directory.
func (b *bench) startMinIO(ctx context.Context) (*minio, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.options.root, "scripts", "tools.sh"), "minio")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("build MinIO: %w", err)
	}
	ports, err := freeport.Take("127.0.0.1", 1)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "minio")
	if err := os.MkdirAll(filepath.Join(dir, bucket), 0o755); err != nil {
		return nil, err
	}
	user, secret := "bench", rand.Text()
	m := &minio{addr: ports[0], env: []string{"AWS_ACCESS_KEY_ID=" + user, "AWS_SECRET_ACCESS_KEY=" + secret}}
	server := []string{"MINIO_ROOT_USER=" + user, "MINIO_ROOT_PASSWORD=" + secret, "MINIO_UPDATE=off", "MINIO_BROWSER=off"}
	if m.proc, err = start("minio", b.dir, nil, server, strings.TrimSpace(string(out)), "server", "--quiet", "--address", m.addr, dir); err != nil {
		return nil, err
	}
	// Our own store reads them from the environment too; there is no other user of it in this process.
	if err := errors.Join(os.Setenv("AWS_ACCESS_KEY_ID", user), os.Setenv("AWS_SECRET_ACCESS_KEY", secret)); err != nil {
		m.proc.kill()
		return nil, err
	}
	err = until(ctx, "start of MinIO", time.Minute, 50*time.Millisecond, func() (bool, error) {
		conn, err := net.DialTimeout("tcp", m.addr, time.Second)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		m.proc.kill()
		return nil, fmt.Errorf("%w\n%s", err, m.proc.tail())
	}
	return m, nil
}

// stop ends the server and removes what it held.
func (b *bench) stopMinIO(m *minio) error {
	m.proc.kill()
	return os.RemoveAll(filepath.Join(b.dir, "minio"))
}

// url is how a broker names a place in the bucket.
func (m *minio) url(prefix string) string {
	return "s3://" + bucket + "/" + prefix + "?endpoint=http://" + m.addr + "&region=us-east-1&path_style=true&driver=minio"
}

// store is minio-go on the same place, without retries: a plain client.
func (m *minio) store(prefix string) (objstore.Store, error) {
	return minios3.Open(s3proto.Config{Bucket: bucket, Prefix: prefix, Endpoint: "http://" + m.addr, Region: "us-east-1", PathStyle: true})
}
