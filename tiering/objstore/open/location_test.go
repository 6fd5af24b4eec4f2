package open_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/open"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

func TestParse(t *testing.T) {
	for url, want := range map[string]open.Location{
		"file:///var/lib/tideline/objects":     {Dir: "/var/lib/tideline/objects"},
		"file://localhost/a/../b/":             {Dir: "/b"},
		"file:///with%20space":                 {Dir: "/with space"},
		"s3://bucket":                          {Driver: "minio", S3: s3proto.Config{Bucket: "bucket"}},
		"s3://bucket/":                         {Driver: "minio", S3: s3proto.Config{Bucket: "bucket"}},
		"s3://my.bucket-1/a/b?driver=aws":      {Driver: "aws", S3: s3proto.Config{Bucket: "my.bucket-1", Prefix: "a/b"}},
		"s3://bucket/p/?path_style=true":       {Driver: "minio", S3: s3proto.Config{Bucket: "bucket", Prefix: "p", PathStyle: true}},
		"s3://bucket?endpoint=http://h:9000":   {Driver: "minio", S3: s3proto.Config{Bucket: "bucket", Endpoint: "http://h:9000", PathStyle: true}},
		"s3://bucket?endpoint=http%3A%2F%2Fh/": {Driver: "minio", S3: s3proto.Config{Bucket: "bucket", Endpoint: "http://h", PathStyle: true}},
		"s3://bucket/p?endpoint=https://h&region=eu-1&path_style=false&driver=minio&sse=aws:kms&kms_key_id=arn:aws:kms:x&max_conns=7": {Driver: "minio",
			S3: s3proto.Config{Bucket: "bucket", Prefix: "p", Endpoint: "https://h", Region: "eu-1", SSE: "aws:kms", KMSKeyID: "arn:aws:kms:x", MaxConns: 7}},
	} {
		got, err := open.Parse(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
		if again, err := open.Parse(got.String()); err != nil || again != got {
			t.Errorf("%s is written as %s, which is %+v, %v", url, got, again, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for url, want := range map[string]string{
		"":                                 "allowed: s3://",
		"bucket":                           "allowed: s3://",
		"gs://bucket":                      `scheme "gs" is not known`,
		"http://h/bucket":                  `scheme "http" is not known`,
		"file://relative/path":             "the path must be absolute: file:///DIR",
		"file:relative":                    "absolute path",
		"file:///":                         "root directory",
		"file:///d?sync=no":                "takes no parameters",
		"s3://":                            "bad bucket name",
		"s3://UPPER":                       "bad bucket name",
		"s3://ab":                          "bad bucket name",
		"s3://bucket:80/x":                 "bad bucket name",
		"s3://a..b":                        "bad bucket name",
		"s3://bucket/../x":                 "prefix",
		"s3://bucket/a//b":                 "prefix",
		"s3://AKIA:topsecret@bucket":       "AWS standard chain",
		"s3://bucket?path_style=yes":       `parameter path_style has a bad value (allowed: true, false) value="yes"`,
		"s3://bucket?driver=gcs":           `parameter driver has a bad value (allowed: minio, aws) value="gcs"`,
		"s3://bucket?region=":              "parameter region",
		"s3://bucket?endpoint=h:9000":      "parameter endpoint has a bad value (allowed: http://HOST:PORT or https://HOST:PORT)",
		"s3://bucket?endpoint=http://h/x":  "parameter endpoint",
		"s3://bucket?sse=rot13":            "parameter sse has a bad value (allowed: AES256, aws:kms)",
		"s3://bucket?kms_key_id=k":         "kms_key_id needs sse=aws:kms",
		"s3://bucket?max_conns=0":          "parameter max_conns has a bad value (allowed: 1 to 4096)",
		"s3://bucket?pathstyle=true":       `parameter "pathstyle" is not known (allowed: driver, endpoint, kms_key_id, max_conns, path_style, region, sse)`,
		"s3://bucket?region=a&region=b":    "parameter region is given 2 times",
		"s3://bucket?x=%zz":                "bad query",
		"s3://bucket#frag":                 "%23",
		"s3://bucket?secret_access_key=zz": "is not known",
		"s3://bucket?endpoint=http://user:topsecret@h": "must not contain credentials",
		"s3://u:topsecret@bu cket":                     "not a URL",
		"s3://" + strings.Repeat("a", 5000):            "longer than",
	} {
		_, err := open.Parse(url)
		if !errors.Is(err, objstore.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", url, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "topsecret") || !strings.Contains(err.Error(), "object.store")) {
			t.Errorf("%.100s: message shows a secret, or not the setting: %v", url, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, url := range []string{
		"file:///d", "s3://bucket/p?endpoint=http://h:9000&region=r&path_style=true&driver=minio", "s3://b:c@d", "s3://bucket?sse=aws:kms&kms_key_id=x",
		"file://h/d", "s3://bucket/a/../b", "://", "s3://bucket?max_conns=9",
	} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		l, err := open.Parse(url)
		if err != nil {
			if !errors.Is(err, objstore.ErrInvalid) {
				t.Errorf("%q: error without its class: %v", url, err)
			}
			return
		}
		if (l.Dir == "") == (l.S3.Bucket == "") {
			t.Errorf("%q is neither or both: %+v", url, l)
		}
		if l.Dir == "" {
			if err := l.S3.Check(); err != nil {
				t.Errorf("%q: %v", url, err)
			}
		}
		if again, err := open.Parse(l.String()); err != nil || again != l {
			t.Errorf("%q is written as %q, which is %+v (%v), not %+v", url, l, again, err, l)
		}
	})
}
