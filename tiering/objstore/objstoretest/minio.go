package objstoretest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/devtools"
	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/minios3"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

const (
	buildTimeout = 15 * time.Minute // the first build of MinIO on a small, busy machine
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

// MinIO is a MinIO server on a loopback port with one bucket. Its methods must not be called at the same time.
type MinIO struct {
	Endpoint string // http://127.0.0.1:PORT, the same after a Restart
	Bucket   string
	User     string
	Password string

	// CAFile has the authority of a server with TLS; "" without.
	CAFile string

	binary, dir, addr string
	certs             string // directory of its key and certificate; "" without TLS
	secure            *tls.Config
	proc              *process
}

// StartMinIO builds MinIO if need be, starts it on a temporary directory, makes a bucket, and stops it when the test ends. The test's
// environment gets its credentials (so the test cannot be parallel).
func StartMinIO(tb testing.TB) *MinIO {
	tb.Helper()
	return startFor(tb, false)
}

// StartMinIOTLS is StartMinIO with a server that speaks TLS only.
func StartMinIOTLS(tb testing.TB) *MinIO {
	tb.Helper()
	return startFor(tb, true)
}

func startFor(tb testing.TB, secure bool) *MinIO {
	tb.Helper()
	m, err := start(tb.TempDir(), secure)
	if err != nil {
		tb.Fatalf("start MinIO: %v", err)
	}
	tb.Cleanup(func() {
		if err := m.Stop(); err != nil {
			tb.Errorf("stop MinIO: %v", err)
		}
	})
	m.Setenv(tb)
	return m
}

var shared struct {
	sync.Once
	m   *MinIO
	dir string
	err error
}

// Shared returns the one MinIO of this test binary, started at the first call, and sets the test's environment to its
// credentials. The package's TestMain must be Main.
func Shared(tb testing.TB) *MinIO {
	tb.Helper()
	shared.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "tideline-minio-"); shared.err == nil {
			shared.m, shared.err = start(shared.dir, false)
		}
	})
	if shared.err != nil {
		tb.Fatalf("start MinIO: %v", shared.err)
	}
	shared.m.Setenv(tb)
	return shared.m
}

// Main runs the tests of a package, then stops the MinIO that Shared has started, and exits.
func Main(m *testing.M) {
	code := m.Run()
	if shared.m != nil {
		if err := shared.m.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop MinIO:", err)
			code = 1
		}
	}
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, "remove MinIO's directory:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// URL is an object.store value for a prefix in the bucket, for the driver minio or aws.
func (m *MinIO) URL(driver, prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=%s&region=us-east-1&path_style=true&driver=%s", m.Bucket, prefix, m.Endpoint, driver)
}

// Config is the same place for a backend's own Open.
func (m *MinIO) Config(prefix string) s3proto.Config {
	return s3proto.Config{Bucket: m.Bucket, Prefix: prefix, Endpoint: m.Endpoint, Region: "us-east-1", PathStyle: true, TLS: m.secure}
}

// Env is the credentials as environment variables, for a process that the test starts.
func (m *MinIO) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + m.User, "AWS_SECRET_ACCESS_KEY=" + m.Password, "AWS_SESSION_TOKEN=", "AWS_EC2_METADATA_DISABLED=true"}
}

// Setenv gives the test process the credentials.
func (m *MinIO) Setenv(tb testing.TB) {
	tb.Setenv("AWS_ACCESS_KEY_ID", m.User)
	tb.Setenv("AWS_SECRET_ACCESS_KEY", m.Password)
	tb.Setenv("AWS_SESSION_TOKEN", "")
	tb.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// PID of the server's process, 0 when it is stopped. For SIGSTOP and CPU accounting.
func (m *MinIO) PID() int {
	if m.proc == nil {
		return 0
	}
	return m.proc.cmd.Process.Pid
}

// CPU is the processor time that the server has used so far.
func (m *MinIO) CPU() (time.Duration, error) { return processCPU(m.PID()) }

// Stop ends the server: politely, after some seconds by force. The data stays. Stopping a stopped server does nothing.
func (m *MinIO) Stop() error {
	if m.proc == nil {
		return nil
	}
	proc := m.proc
	m.proc = nil
	return proc.stop()
}

// Kill ends the server at once, as a crash would.
func (m *MinIO) Kill() error {
	if m.proc == nil {
		return nil
	}
	proc := m.proc
	m.proc = nil
	return proc.kill()
}

// Restart starts a stopped server again on the same address and data, and waits until it is ready.
func (m *MinIO) Restart() error {
	if m.proc != nil {
		return errors.New("MinIO is running")
	}
	return m.launch()
}

func start(dir string, secure bool) (*MinIO, error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	binary, err := devtools.Path(ctx, "minio")
	if err != nil {
		return nil, err
	}
	m := &MinIO{Bucket: "tideline", User: "tideline-test", Password: secret(), binary: binary, dir: filepath.Join(dir, "minio")}
	scheme := "http://"
	if secure {
		scheme = "https://"
		if err := m.makeCertificates(dir); err != nil {
			return nil, err
		}
	}
	free, err := freeport.Take("127.0.0.1", 1)
	if err != nil {
		return nil, err
	}
	m.addr = free[0]
	m.Endpoint = scheme + m.addr
	return m, m.launch()
}

// createBucket makes the bucket or finds it there. It is the only proof that the server is ready: its health page says so earlier,
// when requests still get 503 XMinioServerNotInitialized.
func (m *MinIO) createBucket() error {
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": m.User, "AWS_SECRET_ACCESS_KEY": m.Password} {
		old, had := os.LookupEnv(k)
		if err := os.Setenv(k, v); err != nil {
			return err
		}
		defer func() {
			// Restoring a variable that could be set a moment ago does not fail.
			if had {
				_ = os.Setenv(k, old)
			} else {
				_ = os.Unsetenv(k)
			}
		}()
	}
	s, err := minios3.Open(m.Config(""))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return errors.Join(s.CreateBucket(ctx), s.Close())
}

func (m *MinIO) launch() error {
	args := []string{"server", "--quiet", "--address", m.addr}
	if m.certs != "" {
		args = append(args, "--certs-dir", m.certs)
	}
	cmd := exec.Command(m.binary, append(args, m.dir)...)
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+m.User, "MINIO_ROOT_PASSWORD="+m.Password, "MINIO_UPDATE=off", "MINIO_BROWSER=off")
	proc, err := startProcess(cmd)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(startTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := m.createBucket()
		if err == nil {
			break
		}
		if !objstore.Retriable(err) {
			return errors.Join(err, proc.kill())
		}
		select {
		case <-proc.done:
			return fmt.Errorf("MinIO ended: %w output=%s", proc.err, proc.output.Bytes())
		case now := <-tick.C:
			if now.After(deadline) {
				return errors.Join(fmt.Errorf("MinIO is not ready after %s: %w", startTimeout, err), proc.kill())
			}
		}
	}
	m.proc = proc
	return nil
}

func secret() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// process is a child that dies with this process, even when that is killed.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer  // complete when done is closed
	done   chan struct{} // closed when it has ended
	err    error         // how it ended; valid when done is closed
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// The kernel ties the child's life to the thread that made it, so that thread must stay as long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) stop() error {
	// An error means that it has ended already, which is what the wait finds.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return p.kill()
	}
}

func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// Prefix is a prefix of keys that no other test uses, not even the same test at its next run.
func Prefix(tb testing.TB) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '/', r == '-':
			return r
		}
		return '_'
	}, tb.Name()) + "/" + secret()
}
