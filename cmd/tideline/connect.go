package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// connection is the flags that every client-side command has.
type connection struct {
	brokers       string
	timeout       time.Duration
	tls           bool
	tlsCA         string
	tlsCert       string
	tlsKey        string
	tlsServerName string
	mechanism     string
	user          string
	passwordFile  string
	password      string // from the environment: a flag would show it to everyone on the machine
	tokenFile     string
	token         string // likewise
	tokenAuth     bool
	output        output
}

const defaultBrokers = "127.0.0.1:9092"

func (p *program) connectionFlags(flags *pflag.FlagSet) *connection {
	c := &connection{password: p.getenv("TIDELINE_SASL_PASSWORD"), token: p.getenv("TIDELINE_SASL_TOKEN")}
	brokers := p.getenv("TIDELINE_BROKERS")
	if brokers == "" {
		brokers = defaultBrokers
	}
	flags.StringVarP(&c.brokers, "brokers", "b", brokers, "`HOST:PORT,…` of brokers to ask first (env TIDELINE_BROKERS)")
	flags.DurationVar(&c.timeout, "timeout", 15*time.Second, "how long to wait for brokers to answer")
	flags.BoolVar(&c.tls, "tls", false, "speak TLS; also turned on by the other --tls flags")
	flags.StringVar(&c.tlsCA, "tls-ca", "", "PEM `file` with the authorities to trust, in place of the system's")
	flags.StringVar(&c.tlsCert, "tls-cert", "", "PEM `file` with the client's certificate")
	flags.StringVar(&c.tlsKey, "tls-key", "", "PEM `file` with the client's key")
	flags.StringVar(&c.tlsServerName, "tls-server-name", "", "`name` to expect in the broker's certificate, in place of its host")
	flags.StringVar(&c.mechanism, "sasl-mechanism", "", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	flags.StringVar(&c.user, "sasl-user", "", "`user` to log in as")
	flags.StringVar(&c.passwordFile, "sasl-password-file", "", "`file` with the password (or env TIDELINE_SASL_PASSWORD)")
	flags.BoolVar(&c.tokenAuth, "sasl-delegation-token", false, "the user is the id of a delegation token, and the password its HMAC; with SCRAM")
	flags.StringVar(&c.tokenFile, "sasl-token-file", "", "`file` with the token of OAUTHBEARER, read at each login (or env TIDELINE_SASL_TOKEN)")
	c.output.flag(flags)
	return c
}

// options turns the flags into options of the client.
func (c *connection) options() ([]kgo.Opt, error) {
	var seeds []string
	for seed := range strings.SplitSeq(c.brokers, ",") {
		if seed = strings.TrimSpace(seed); seed != "" {
			seeds = append(seeds, seed)
		}
	}
	if len(seeds) == 0 {
		return nil, usagef("--brokers is empty")
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID("tideline-cli"),
		kgo.RetryTimeout(c.timeout),
		kgo.DialTimeout(min(c.timeout, 5*time.Second)),
	}
	config, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	if config != nil {
		options = append(options, kgo.DialTLSConfig(config))
	}
	mechanism, err := c.saslMechanism()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

// tlsConfig returns nil when the connection is in the clear.
func (c *connection) tlsConfig() (*tls.Config, error) {
	if !c.tls && c.tlsCA == "" && c.tlsCert == "" && c.tlsKey == "" && c.tlsServerName == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.tlsServerName}
	if c.tlsCA != "" {
		pem, err := os.ReadFile(c.tlsCA)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--tls-ca: no certificate in %s", c.tlsCA)
		}
	}
	if (c.tlsCert == "") != (c.tlsKey == "") {
		return nil, usagef("--tls-cert and --tls-key belong together")
	}
	if c.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// saslMechanism returns nil when there is no login.
func (c *connection) saslMechanism() (sasl.Mechanism, error) {
	if c.mechanism == "" {
		if c.user != "" || c.passwordFile != "" || c.tokenFile != "" || c.tokenAuth {
			return nil, usagef("--sasl-mechanism is missing")
		}
		return nil, nil
	}
	if strings.EqualFold(c.mechanism, "OAUTHBEARER") {
		return c.bearer()
	}
	if c.user == "" {
		return nil, usagef("--sasl-user is missing")
	}
	password := c.password
	if c.passwordFile != "" {
		text, err := os.ReadFile(c.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("--sasl-password-file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if password == "" {
		return nil, usagef("the password is missing: --sasl-password-file or TIDELINE_SASL_PASSWORD")
	}
	switch strings.ToUpper(c.mechanism) {
	case "PLAIN":
		return plain.Auth{User: c.user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.user, Pass: password, IsToken: c.tokenAuth}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.user, Pass: password, IsToken: c.tokenAuth}.AsSha512Mechanism(), nil
	}
	return nil, usagef("unknown --sasl-mechanism %s: allowed are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER", c.mechanism)
}

// bearer logs in by a token, which may be another one each time that the file is read.
func (c *connection) bearer() (sasl.Mechanism, error) {
	if c.user != "" || c.passwordFile != "" || c.tokenAuth {
		return nil, usagef("OAUTHBEARER has no user and no password: the token tells who it is")
	}
	read := func(context.Context) (oauth.Auth, error) {
		if c.tokenFile == "" {
			return oauth.Auth{Token: c.token}, nil
		}
		text, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return oauth.Auth{}, fmt.Errorf("--sasl-token-file: %w", err)
		}
		return oauth.Auth{Token: strings.TrimSpace(string(text))}, nil
	}
	first, err := read(context.Background())
	if err != nil {
		return nil, err
	}
	if first.Token == "" {
		return nil, usagef("the token is missing: --sasl-token-file or TIDELINE_SASL_TOKEN")
	}
	return oauth.Oauth(read), nil
}

// client connects, and fails early when no broker answers.
func (c *connection) client(ctx context.Context, more ...kgo.Opt) (*kgo.Client, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options, more...)...)
	if err != nil {
		return nil, usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer from brokers %s in %s", c.brokers, c.timeout)
		}
		return nil, fmt.Errorf("cannot reach brokers %s: %w", c.brokers, err)
	}
	return client, nil
}

// connected runs work with a client, within the timeout.
func (c *connection) connected(ctx context.Context, work func(ctx context.Context, client *kgo.Client) error) error {
	client, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return work(ctx, client)
}

// admin runs work with an admin client, within the timeout.
func (c *connection) admin(ctx context.Context, work func(ctx context.Context, admin *kadm.Client) error) error {
	return c.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
		return work(ctx, c.adminOf(client))
	})
}

func (c *connection) adminOf(client *kgo.Client) *kadm.Client {
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(c.timeoutMillis())
	return admin
}

// timeoutMillis is the timeout for requests that carry one.
func (c *connection) timeoutMillis() int32 {
	return int32(min(c.timeout.Milliseconds(), 1<<30)) //nolint:gosec // bounded
}

// answered joins an error and the message that the broker gave with it, unless
// the message only repeats it.
func answered(what string, err error, message string) error {
	if err == nil {
		return nil
	}
	message = strings.TrimLeft(strings.TrimPrefix(message, err.Error()), ": ")
	if message == "" {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w (%s)", what, err, message)
}
