package open

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

// Drivers of s3:// URLs.
const (
	DriverMinIO = "minio"
	DriverAWS   = "aws"
)

// Location is a parsed object.store URL.
type Location struct {
	Dir    string         // of a file:// URL, absolute and clean; then the rest is empty
	Driver string         // of an s3:// URL: DriverMinIO or DriverAWS
	S3     s3proto.Config // its place
}

// maxURL bounds the setting in bytes.
const maxURL = 4096

// maxMaxConns bounds the parameter max_conns: beyond it file descriptors are the problem.
const maxMaxConns = 4096

// Parse reads an object.store URL. Errors are ErrInvalid and name the parameter and what is allowed; they never repeat user information.
func Parse(raw string) (Location, error) {
	if len(raw) > maxURL {
		return Location{}, invalid("URL is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The error of net/url repeats the URL, which may hold a password.
		return Location{}, invalid("not a URL (allowed: s3://BUCKET/PREFIX?… or file:///DIR)")
	}
	if u.User != nil {
		return Location{}, invalid("credentials do not belong in the URL: they come from the AWS standard chain (environment, shared configuration, web identity, instance role)")
	}
	if u.Fragment != "" {
		return Location{}, invalid("a URL with '#' is not allowed; a literal one is written %%23")
	}
	switch u.Scheme {
	case "file":
		return parseFile(u)
	case "s3":
		return parseS3(u)
	}
	return Location{}, invalid("scheme %q is not known (allowed: s3://BUCKET/PREFIX?… or file:///DIR)", u.Scheme)
}

func invalid(format string, args ...any) error {
	return objstore.Errorf(objstore.ErrInvalid, "object.store: "+format, args...)
}

func parseFile(u *url.URL) (Location, error) {
	if u.Host != "" && u.Host != "localhost" {
		return Location{}, invalid("file URL names the host %q; the path must be absolute: file:///DIR", u.Host)
	}
	if u.RawQuery != "" {
		return Location{}, invalid("file URL takes no parameters")
	}
	if !strings.HasPrefix(u.Path, "/") || strings.ContainsRune(u.Path, 0) {
		return Location{}, invalid("file URL needs an absolute path: file:///DIR")
	}
	dir := path.Clean(u.Path)
	if dir == "/" {
		return Location{}, invalid("file URL names the root directory; give the store a directory of its own: file:///DIR")
	}
	return Location{Dir: dir}, nil
}

// parameters of s3:// URLs: what is allowed, for messages, and how a value is taken in.
var parameters = map[string]struct {
	allowed string
	set     func(l *Location, v string) bool
}{
	"endpoint": {"http://HOST:PORT or https://HOST:PORT", func(l *Location, v string) bool {
		l.S3.Endpoint = strings.TrimSuffix(v, "/")
		e, err := url.Parse(l.S3.Endpoint)
		return err == nil && (e.Scheme == "http" || e.Scheme == "https") && e.Host != "" && e.Path == "" && e.RawQuery == "" && e.Fragment == "" && e.User == nil
	}},
	"region": {"a region's name, letters, digits and '-'", func(l *Location, v string) bool {
		l.S3.Region = v
		return v != "" && strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
	}},
	"path_style": {"true, false", func(l *Location, v string) bool {
		l.S3.PathStyle = v == "true"
		return v == "true" || v == "false"
	}},
	"driver": {"minio, aws", func(l *Location, v string) bool {
		l.Driver = v
		return v == DriverMinIO || v == DriverAWS
	}},
	"sse": {"AES256, aws:kms", func(l *Location, v string) bool {
		l.S3.SSE = v
		return v == "AES256" || v == "aws:kms"
	}},
	"kms_key_id": {"a key's id or ARN, with sse=aws:kms", func(l *Location, v string) bool {
		l.S3.KMSKeyID = v
		return v != "" && !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })
	}},
	"max_conns": {fmt.Sprintf("1 to %d", maxMaxConns), func(l *Location, v string) bool {
		n, err := strconv.Atoi(v)
		l.S3.MaxConns = n
		return err == nil && 1 <= n && n <= maxMaxConns
	}},
}

func parseS3(u *url.URL) (Location, error) {
	l := Location{Driver: DriverMinIO}
	l.S3.Bucket = u.Host
	if err := checkBucket(u.Host); err != nil {
		return Location{}, err
	}
	l.S3.Prefix = strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/")
	if err := objstore.CheckPrefix(l.S3.Prefix); err != nil {
		return Location{}, fmt.Errorf("object.store: %w", err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Location{}, invalid("bad query (allowed: name=value, joined by '&')")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		p, known := parameters[name]
		if !known {
			return Location{}, invalid("parameter %q is not known (allowed: %s)", name, strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
		}
		if values := query[name]; len(values) != 1 {
			return Location{}, invalid("parameter %s is given %d times", name, len(values))
		} else if !p.set(&l, values[0]) {
			return Location{}, invalid("parameter %s has a bad value (allowed: %s)%s", name, p.allowed, shown(name, values[0]))
		}
	}
	// A server of one's own rarely has a name for each bucket; AWS has, and will stop serving paths.
	if !query.Has("path_style") {
		l.S3.PathStyle = l.S3.Endpoint != ""
	}
	if err := l.S3.Check(); err != nil {
		return Location{}, fmt.Errorf("object.store: %w", err)
	}
	return l, nil
}

// shown is the value for a message, except where it may contain credentials.
func shown(name, value string) string {
	if name == "endpoint" && strings.Contains(value, "@") {
		return " (it must not contain credentials)"
	}
	return fmt.Sprintf(" value=%q", value)
}

// checkBucket enforces the common rules of S3: 3 to 63 lower-case letters, digits, dots and hyphens, beginning and ending with a
// letter or digit. The message is ours because SDKs differ.
func checkBucket(name string) error {
	alnum := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
	ok := len(name) >= 3 && len(name) <= 63 && alnum(name[0]) && alnum(name[len(name)-1]) && !strings.Contains(name, "..")
	for i := range len(name) {
		ok = ok && (alnum(name[i]) || name[i] == '-' || name[i] == '.')
	}
	if !ok {
		return invalid("bad bucket name (allowed: 3 to 63 lower-case letters, digits, '-' and '.') bucket=%q", name)
	}
	return nil
}

// withRegion fills in the region when the URL has none: from the environment, and for a server of one's own the name that all of them take.
func (l Location) withRegion() Location {
	for _, env := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if l.S3.Region == "" {
			l.S3.Region = os.Getenv(env)
		}
	}
	if l.S3.Region == "" && l.S3.Endpoint != "" {
		l.S3.Region = "us-east-1"
	}
	return l
}

// String is the URL again, in its canonical form.
func (l Location) String() string {
	if l.Dir != "" {
		return (&url.URL{Scheme: "file", Path: l.Dir}).String()
	}
	q := make(url.Values)
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("endpoint", l.S3.Endpoint)
	set("region", l.S3.Region)
	set("driver", l.Driver)
	set("path_style", strconv.FormatBool(l.S3.PathStyle))
	set("sse", l.S3.SSE)
	set("kms_key_id", l.S3.KMSKeyID)
	if l.S3.MaxConns > 0 {
		set("max_conns", strconv.Itoa(l.S3.MaxConns))
	}
	u := url.URL{Scheme: "s3", Host: l.S3.Bucket, RawQuery: q.Encode()}
	if l.S3.Prefix != "" {
		u.Path = "/" + l.S3.Prefix
	}
	return u.String()
}
