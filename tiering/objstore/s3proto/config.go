package s3proto

import (
	"crypto/tls"
	"net/url"
	"strings"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// Config names a place in an S3 store. Credentials are not part of it: they come from the environment (the standard chain).
type Config struct {
	Bucket    string
	Prefix    string // below which all keys lie; "" or a key without slash at the end
	Endpoint  string // URL of the server; "" is AWS
	Region    string // "" lets the driver find out
	PathStyle bool   // bucket in the path instead of the host name
	SSE       string // server-side encryption: "", "AES256" or "aws:kms"
	KMSKeyID  string // only with "aws:kms"; "" is the bucket's default key
	MaxConns  int    // connections to the store, 0: DefaultMaxConns
	// TLS is for a server at an https endpoint; nil: the system's authorities, and TLS 1.2 at least. It must not be changed.
	TLS *tls.Config
}

// Check refuses with ErrInvalid what cannot be a place.
func (c Config) Check() error {
	if c.Bucket == "" || strings.ContainsAny(c.Bucket, "/ ?#%") {
		return objstore.Errorf(objstore.ErrInvalid, "bad bucket name bucket=%q", c.Bucket)
	}
	if err := objstore.CheckPrefix(c.Prefix); err != nil {
		return err
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Path != "" && u.Path != "/") || u.User != nil || u.RawQuery != "" {
			return objstore.Errorf(objstore.ErrInvalid, "bad endpoint (allowed: http://HOST:PORT or https://HOST:PORT) endpoint=%q", c.Endpoint)
		}
	}
	switch c.SSE {
	case "", "AES256", "aws:kms":
	default:
		return objstore.Errorf(objstore.ErrInvalid, "bad sse (allowed: AES256, aws:kms) sse=%q", c.SSE)
	}
	if c.KMSKeyID != "" && c.SSE != "aws:kms" {
		return objstore.Errorf(objstore.ErrInvalid, "kms_key_id needs sse=aws:kms")
	}
	if c.MaxConns < 0 {
		return objstore.Errorf(objstore.ErrInvalid, "bad number of connections max_conns=%d", c.MaxConns)
	}
	return nil
}

// Name is the object's name in the bucket for a key.
func (c Config) Name(key string) string {
	if c.Prefix == "" {
		return key
	}
	return c.Prefix + "/" + key
}

// NamePrefix is the name that a List for a prefix of keys asks for.
func (c Config) NamePrefix(prefix string) string {
	if c.Prefix == "" {
		return prefix
	}
	return c.Prefix + "/" + prefix
}

// Key is the inverse of Name. ok is false for a name that is not below the prefix.
func (c Config) Key(name string) (key string, ok bool) {
	if c.Prefix == "" {
		return name, true
	}
	return strings.CutPrefix(name, c.Prefix+"/")
}
