//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/loadtest/stage"
)

const (
	bucket      = "tideline"
	storeUser   = "zones"
	storeSecret = "zones-secret"
	storePort   = "9000"
	packagePort = "8000"
)

// objectStore is the setting object.store of the machines.
func objectStore() string {
	return "s3://" + bucket + "/zones?endpoint=http://services." + domain + ":" + storePort + "&region=us-east-1&path_style=true&driver=minio"
}

// storeEnvironment has the credentials of the store.
var storeEnvironment = []string{"AWS_ACCESS_KEY_ID=" + storeUser, "AWS_SECRET_ACCESS_KEY=" + storeSecret, "AWS_EC2_METADATA_DISABLED=true"}

// serve starts the S3 server and the server of packages, which end with this process.
func serve(ctx context.Context, o *options) error {
	objects := filepath.Join(o.Dir, "minio")
	if err := os.MkdirAll(filepath.Join(objects, bucket), 0o755); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(o.Dir, "minio.log"))
	if err != nil {
		return err
	}
	address := net.JoinHostPort(services, storePort)
	cmd := exec.Command(o.MinIO, "server", "--quiet", "--address", address, objects)
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+storeUser, "MINIO_ROOT_PASSWORD="+storeSecret, "MINIO_UPDATE=off", "MINIO_BROWSER=off")
	cmd.Stdout, cmd.Stderr = log, log
	if _, err := child.Start(cmd); err != nil {
		return fmt.Errorf("start MinIO: %w", err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(services, packagePort))
	if err != nil {
		return err
	}
	packages := &http.Server{Handler: http.FileServer(http.Dir(filepath.Dir(o.Package))), ReadHeaderTimeout: time.Minute}
	go func() { _ = packages.Serve(l) }() // until this process ends
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if err := stage.Wait(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("the S3 server does not listen: %w", err)
		}
	}
}

// packageURL is where a machine finds the package.
func packageURL(o *options) string {
	return "http://services." + domain + ":" + packagePort + "/" + filepath.Base(o.Package)
}
