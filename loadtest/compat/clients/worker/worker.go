package worker

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// Options are the second argument of a program. Which are used depends on the verb.
type Options struct {
	Brokers    string            `json:"brokers"`
	Security   *Security         `json:"security,omitempty"` // nil: in the clear, and nobody asks who it is
	Topic      string            `json:"topic"`
	Partitions int               `json:"partitions,omitempty"` // create
	Configs    map[string]string `json:"configs,omitempty"`    // create
	Codec      string            `json:"codec,omitempty"`      // produce: none, gzip, snappy, lz4, zstd
	TimeoutMS  int               `json:"timeout_ms,omitempty"` // produce: how long a record may take, retries included
	From       string            `json:"from,omitempty"`       // consume: beginning, offset or time
	Offsets    map[int32]int64   `json:"offsets,omitempty"`    // consume from offset: of each partition
	Time       int64             `json:"time,omitempty"`       // consume from time: milliseconds since 1970
	Count      int               `json:"count"`                // consume: ends after so many records
	Group      string            `json:"group,omitempty"`      // group
	SessionMS  int               `json:"session_ms,omitempty"` // group: session timeout
	Protocol   string            `json:"protocol,omitempty"`   // group: consumer for the protocol of KIP-848, whose times are the broker's
}

// Security is how a client proves who it is. Files are in PEM, but for the stores, which Java takes.
type Security struct {
	Mechanism string `json:"mechanism,omitempty"` // of SASL; empty: none
	User      string `json:"user,omitempty"`
	Password  string `json:"password,omitempty"`
	// Delegation: the user is the id of a delegation token, and the password its HMAC; with SCRAM.
	Delegation bool   `json:"delegation,omitempty"`
	TokenFile  string `json:"token_file,omitempty"` // OAUTHBEARER
	CA         string `json:"ca,omitempty"`         // empty: no TLS
	Cert       string `json:"cert,omitempty"`       // empty: no certificate is shown
	Key        string `json:"key,omitempty"`
	Trust      string `json:"trust,omitempty"` // PKCS12 with what CA has
	Store      string `json:"store,omitempty"` // PKCS12 with Cert and Key
	StorePass  string `json:"store_pass,omitempty"`
}

// TLS is what a Go client is to speak TLS with; nil: none.
func (s *Security) TLS() (*tls.Config, error) {
	if s == nil || s.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate: path=%s", s.CA)
	}
	if s.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Token reads the token of OAUTHBEARER, which may be another one each time.
func (s *Security) Token() (string, error) {
	b, err := os.ReadFile(s.TokenFile)
	return strings.TrimSpace(string(b)), err
}

// Record is one record on its way in or out. Nil is null.
type Record struct {
	Partition int32    `json:"p"`
	Offset    int64    `json:"o"` // ignored on the way in
	Key       []byte   `json:"k"`
	Value     []byte   `json:"v"`
	Headers   []Header `json:"h"`
	Timestamp int64    `json:"t"` // milliseconds since 1970
}

// Header is one header of a record.
type Header struct {
	Name  string
	Value []byte
}

// MarshalJSON writes a header as a list of two.
func (h Header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Name, h.Value}) }

// UnmarshalJSON reads a header from a list of two.
func (h *Header) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&h.Name, &h.Value})
}

// Ack is the fate of one produced record.
type Ack struct {
	Index     int    `json:"i"`
	Partition int32  `json:"p"`
	Offset    int64  `json:"o"`
	Error     string `json:"error,omitempty"`
	Retriable bool   `json:"retriable,omitempty"`
}

// Assigned is what a member of a group has after a rebalance.
type Assigned struct {
	Partitions []int32 `json:"assigned"`
}

// Client is a Go client that is put behind the protocol.
type Client interface {
	Create(Options) error
	// Produce sends what it gets from next until that tells the end, and emits an Ack for each.
	Produce(o Options, next func() (Record, bool, error), emit func(any)) error
	Consume(o Options, emit func(any)) error
	// Group returns when stop is closed.
	Group(o Options, emit func(any), stop <-chan struct{}) error
}

// Main runs the client as the program's arguments say and ends the process.
func Main(c Client) {
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(c Client) error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: %s VERB OPTIONS", os.Args[0])
	}
	var o Options
	if err := json.Unmarshal([]byte(os.Args[2]), &o); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	out := &lines{w: bufio.NewWriter(os.Stdout)}
	var err error
	switch verb := os.Args[1]; verb {
	case "create":
		err = c.Create(o)
	case "produce":
		err = c.Produce(o, reader(os.Stdin), out.emit)
	case "consume":
		err = c.Consume(o, out.emit)
	case "group":
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			// Only the end counts. An input that cannot be read has ended, too.
			_, _ = io.Copy(io.Discard, os.Stdin)
		}()
		err = c.Group(o, out.emit, stop)
	default:
		err = fmt.Errorf("unknown verb %q", verb)
	}
	if err != nil {
		return err
	}
	return out.err
}

func reader(r io.Reader) func() (Record, bool, error) {
	d := json.NewDecoder(bufio.NewReader(r))
	return func() (Record, bool, error) {
		var rec Record
		switch err := d.Decode(&rec); err {
		case nil:
			return rec, true, nil
		case io.EOF:
			return Record{}, false, nil
		default:
			return Record{}, false, fmt.Errorf("record: %w", err)
		}
	}
}

// lines writes JSON lines, each at once: who is killed has told what it did.
type lines struct {
	mu  sync.Mutex
	w   *bufio.Writer
	err error // the first one; guarded by mu
}

func (l *lines) emit(line any) {
	b, err := json.Marshal(line)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.w.Write(append(b, '\n'))
	}
	if err == nil {
		err = l.w.Flush()
	}
	if l.err == nil {
		l.err = err
	}
}
