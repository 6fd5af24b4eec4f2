package sasl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of signing keys.
const (
	maxKeysBytes = 1 << 20
	maxKeys      = 1000
	fetchTimeout = 10 * time.Second
)

// KeySet has the keys that tokens are signed with. Run keeps it up to date.
type KeySet struct {
	o      KeyOptions
	client *http.Client
	keys   atomic.Pointer[signingKeys]
	wanted chan struct{} // cap 1: a key was asked for that is not there
}

// KeyOptions say where keys come from.
type KeyOptions struct {
	URL                 string        // file:// or http(s)://
	Refresh             time.Duration // by HTTP
	Poll                time.Duration // of a file
	Backoff, BackoffMax time.Duration
	Logger              *slog.Logger
	Client              *http.Client // nil: the default one, bounded in time
}

// NewKeySet makes a set without keys. A file that can not be read is an error; what comes
// by HTTP is waited for by Run.
func NewKeySet(o KeyOptions) (*KeySet, error) {
	k := &KeySet{o: o, client: o.Client, wanted: make(chan struct{}, 1)}
	if k.client == nil {
		k.client = &http.Client{Timeout: fetchTimeout}
	}
	k.keys.Store(&signingKeys{})
	if path, ok := k.file(); ok {
		if err := k.readFile(path); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// file is the path of keys in a file.
func (k *KeySet) file() (string, bool) {
	u, err := url.Parse(k.o.URL)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	return u.Path, true
}

// find returns the keys of a name, or all of them for a token that names none.
func (k *KeySet) find(id string) []jose.JSONWebKey {
	keys := k.keys.Load()
	if id != "" {
		return keys.by[id]
	}
	return keys.all
}

// signingKeys are the keys of one state of the set, in its order and by their names.
type signingKeys struct {
	all []jose.JSONWebKey
	by  map[string][]jose.JSONWebKey
}

// miss asks for the keys to be fetched again.
func (k *KeySet) miss() {
	select {
	case k.wanted <- struct{}{}:
	default:
	}
}

// Run fetches the keys, again and again, until ctx ends.
func (k *KeySet) Run(ctx context.Context) {
	if path, ok := k.file(); ok {
		k.watchFile(ctx, path)
		return
	}
	backoff := k.o.Backoff
	for {
		wait := k.o.Refresh
		if err := k.fetch(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			k.o.Logger.WarnContext(ctx, "signing keys can not be fetched; those before stay", "url", k.o.URL, "error", err, "retry_in", backoff)
			wait, backoff = backoff, min(2*backoff, k.o.BackoffMax)
			if !pause(ctx, wait, nil) {
				return
			}
			continue
		}
		backoff = k.o.Backoff
		// A key that is not known may bring the next fetch forward, but not below the
		// longest wait between two: anybody can send tokens.
		least := min(k.o.BackoffMax, wait)
		if !pause(ctx, least, nil) || !pause(ctx, wait-least, k.wanted) {
			return
		}
	}
}

// pause waits; it reports false when ctx has ended.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// watchFile reads the file again when it has changed.
func (k *KeySet) watchFile(ctx context.Context, path string) {
	var size int64
	var at time.Time
	failure := ""
	for pause(ctx, k.o.Poll, nil) {
		info, err := os.Stat(path)
		if err == nil && failure == "" && info.Size() == size && info.ModTime().Equal(at) {
			continue
		}
		if err == nil {
			size, at = info.Size(), info.ModTime()
			err = k.readFile(path)
		}
		if err == nil {
			failure = ""
			continue
		}
		if text := err.Error(); text != failure {
			failure = text
			k.o.Logger.WarnContext(ctx, "signing keys can not be read; those before stay", "path", path, "error", err)
		}
	}
}

func (k *KeySet) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	defer func() { _ = f.Close() }() // it was read only
	return k.take(f)
}

func (k *KeySet) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.o.URL, http.NoBody)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // what was wanted of it is read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("signing keys: status=%d", resp.StatusCode)
	}
	return k.take(resp.Body)
}

// take reads keys and puts them in the place of those before.
func (k *KeySet) take(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, maxKeysBytes+1))
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return err
	}
	k.keys.Store(keys)
	return nil
}

// parseKeys reads a JWKS. Keys of kinds that are not known are left out, as RFC 7517 wants
// it, and so are secret ones, which have no place there.
func parseKeys(text []byte) (*signingKeys, error) {
	if len(text) > maxKeysBytes {
		return nil, fmt.Errorf("signing keys are too large: limit=%d", maxKeysBytes)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("signing keys are no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("too many signing keys: limit=%d", maxKeys)
	}
	keys := &signingKeys{by: map[string][]jose.JSONWebKey{}}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		keys.all = append(keys.all, key)
		keys.by[key.KeyID] = append(keys.by[key.KeyID], key)
	}
	if len(keys.all) == 0 {
		return nil, errors.New("no signing key of a known kind")
	}
	return keys, nil
}
