package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidelinehq/tideline/internal/adminapi"
)

// tierCommand is `tideline tier`.
func (p *program) tierCommand() *cobra.Command {
	return p.group("tier", "Look at the object store and prove that it is whole", p.tierStatusCommand(), p.tierVerifyCommand(), p.tierProbeCommand())
}

// adminConnection is the flags of commands that ask the admin API.
type adminConnection struct {
	http     string
	user     string
	password string
	ca       string
	timeout  time.Duration
	output   output
}

func (p *program) adminFlags(flags *pflag.FlagSet) *adminConnection {
	a := &adminConnection{}
	address := p.getenv("TIDELINE_HTTP")
	if address == "" {
		address = "127.0.0.1:8080"
	}
	flags.StringVar(&a.http, "http", address, "`HOST:PORT` or URL of a broker's admin API (env TIDELINE_HTTP)")
	a.loginFlags(p, flags)
	flags.DurationVar(&a.timeout, "timeout", 15*time.Second, "how long to wait for the first answer")
	a.output.flag(flags)
	return a
}

// loginFlags are those of an admin API that has TLS and users.
func (a *adminConnection) loginFlags(p *program, flags *pflag.FlagSet) {
	flags.StringVar(&a.user, "http-user", "", "`name` of a user of the admin API; the password comes from the environment (TIDELINE_HTTP_PASSWORD)")
	flags.StringVar(&a.ca, "http-ca", "", "PEM `file` of the authorities that vouch for an admin API at an https URL; empty: those of the system")
	a.password = p.getenv("TIDELINE_HTTP_PASSWORD")
}

// secure is the TLS of an admin API at an https URL.
func (a *adminConnection) secure() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.ca == "" {
		return c, nil
	}
	pem, err := os.ReadFile(a.ca)
	if err != nil {
		return nil, usageError{err}
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, usagef("--http-ca has no certificates in PEM: %s", a.ca)
	}
	return c, nil
}

// get asks the admin API. The caller closes the body.
func (a *adminConnection) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	return a.call(ctx, http.MethodGet, path, query, nil)
}

// call sends a request to the admin API, with JSON unless body is nil. The caller
// closes what it returns.
func (a *adminConnection) call(ctx context.Context, method, path string, query url.Values, body any) (io.ReadCloser, error) {
	base := a.http
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, usagef("--http is not HOST:PORT or a URL: %q", a.http)
	}
	u = u.JoinPath(path)
	u.RawQuery = query.Encode()
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(text))
	if err != nil {
		return nil, usageError{err}
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	secure, err := a.secure()
	if err != nil {
		return nil, err
	}
	if a.user != "" {
		request.SetBasicAuth(a.user, a.password)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: a.timeout}).DialContext,
		ResponseHeaderTimeout: a.timeout,
		TLSClientConfig:       secure,
	}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the admin API: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close() //nolint:errcheck // read only
	if text, err = io.ReadAll(io.LimitReader(response.Body, 64<<10)); err != nil {
		return nil, fmt.Errorf("admin API: status %s: %w", response.Status, err)
	}
	var answer adminapi.Error
	if json.Unmarshal(text, &answer) == nil && answer.Message != "" {
		return nil, fmt.Errorf("admin API: %s", answer.Message)
	}
	return nil, fmt.Errorf("admin API: status %s", response.Status)
}

// maxStatusBytes bounds the answer: a hundred thousand partitions fit.
const maxStatusBytes = 64 << 20

func (p *program) tierStatusCommand() *cobra.Command {
	var empty bool
	c := &cobra.Command{
		Use:   "status [TOPIC…]",
		Short: "Show what lies in the object store",
	}
	admin := p.adminFlags(c.Flags())
	c.Flags().BoolVar(&empty, "empty", false, "table: also partitions that never had a record")
	c.RunE = p.does(func(ctx context.Context, topics []string) error {
		body, err := admin.get(ctx, adminapi.TierStatusPath, url.Values{"topic": topics})
		if err != nil {
			return err
		}
		defer body.Close() //nolint:errcheck // read only
		var s adminapi.TierStatus
		if err := json.NewDecoder(io.LimitReader(body, maxStatusBytes)).Decode(&s); err != nil {
			return fmt.Errorf("admin API: %w", err)
		}
		total := newTable("OBJECT STORE", "OBJECTS", "STORED", "LOG", "GARBAGE", "UPLOADING", "PENDING")
		total.add(s.ObjectStore, s.Objects, humanBytes(s.StoredBytes), humanBytes(s.LogBytes),
			fmt.Sprintf("%d (%s)", s.GarbageObjects, humanBytes(s.GarbageBytes)), s.OpenUploads, humanBytes(s.PendingBytes))
		parts := newTable("TOPIC", "PARTITION", "START", "TIERED TO", "END", "SEGMENTS", "STORED", "LOG")
		for _, t := range s.Partitions {
			if !empty && t.TieredEnd <= 0 && t.End <= 0 {
				continue
			}
			parts.add(t.Topic, t.Partition, t.LogStart, t.TieredEnd, dashIf(t.End < 0, t.End), t.Segments, humanBytes(t.StoredBytes), humanBytes(t.LogBytes))
		}
		return p.show(admin.output, s, total, parts)
	})
	return c
}

// humanBytes writes a size for reading.
func humanBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}

func (p *program) tierVerifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify [TOPIC…]",
		Short: "Read all that the ledger refers to and check it; status 1 when something is wrong",
	}
	admin := p.adminFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, topics []string) error {
		body, err := admin.get(ctx, adminapi.TierVerifyPath, url.Values{"topic": topics})
		if err != nil {
			return err
		}
		defer body.Close() //nolint:errcheck // read only
		return p.verifyEvents(body, admin.output)
	})
	return c
}

// verifyEvents follows a verification to its end. With JSON the events are
// passed on as they come.
func (p *program) verifyEvents(body io.Reader, how output) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	bar := p.progress(-1)
	defer bar.end()
	var last adminapi.VerifyEvent
	for lines.Scan() {
		var e adminapi.VerifyEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("admin API: %w", err)
		}
		bar.add(e.Bytes - last.Bytes)
		last = e
		if how == outputJSON {
			fmt.Fprintf(p.stdout, "%s\n", lines.Bytes())
		} else if f := e.Fault; f != nil {
			fmt.Fprintf(p.stdout, "fault: %s partition %d offsets %d to %d object %s: %s\n", f.Topic, f.Partition, f.Base, f.End, f.Object, f.Problem)
		}
		if e.Done {
			break
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return fmt.Errorf("admin API: %w", err)
	case last.Failure != "":
		return fmt.Errorf("verification could not go on: %s", last.Failure)
	case !last.Done:
		return fmt.Errorf("the broker ended the verification early, after %d segments", last.Segments)
	case last.Faults > 0:
		return fmt.Errorf("%d faults in %d segments", last.Faults, last.Segments)
	}
	if how == outputTable {
		fmt.Fprintf(p.stdout, "whole: %d segments, %s read\n", last.Segments, humanBytes(last.Bytes))
	}
	return nil
}
