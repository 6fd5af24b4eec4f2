package minios3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

// With its retries off the SDK still sleeps after a failed attempt, up to this long, before it returns the error. The wait is
// ours to choose (package retry), and this package is the SDK's only user.
func init() { minio.DefaultRetryUnit = 0 }

// Store is an objstore.Store in a bucket.
type Store struct {
	cfg       s3proto.Config
	client    *minio.Client
	core      minio.Core
	transport *http.Transport
	sse       encrypt.ServerSide
}

// Open makes a store. It does not talk to the server: open.Probe does.
func Open(cfg s3proto.Config) (*Store, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	host, secure := "s3.amazonaws.com", true
	if cfg.Endpoint != "" {
		u, err := url.Parse(cfg.Endpoint)
		if err != nil {
			return nil, objstore.Errorf(objstore.ErrInvalid, "bad endpoint endpoint=%q", cfg.Endpoint)
		}
		host, secure = u.Host, u.Scheme == "https"
	}
	lookup := minio.BucketLookupDNS
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	s := &Store{cfg: cfg, transport: s3proto.NewTransport(cfg.MaxConns, cfg.TLS)}
	switch cfg.SSE {
	case "AES256":
		s.sse = encrypt.NewSSE()
	case "aws:kms":
		kms, err := encrypt.NewSSEKMS(cfg.KMSKeyID, nil)
		if err != nil {
			return nil, &objstore.Error{Class: objstore.ErrInvalid, Detail: "bad kms key", Cause: err}
		}
		s.sse = kms
	}
	client, err := minio.New(host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{},
			&credentials.FileAWSCredentials{},
			&credentials.IAM{Region: cfg.Region},
		}),
		Secure:       secure,
		Transport:    s.transport,
		Region:       cfg.Region,
		BucketLookup: lookup,
		MaxRetries:   1, // ours is the only layer that retries
	})
	if err != nil {
		return nil, &objstore.Error{Class: objstore.ErrInvalid, Detail: "make client", Cause: err}
	}
	s.client, s.core = client, minio.Core{Client: client}
	return s, nil
}

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	if err := objstore.CheckPut(key, body, cond); err != nil {
		return "", err
	}
	opts := minio.PutObjectOptions{
		UserMetadata:         map[string]string{s3proto.ChecksumHeader: s3proto.Checksum(body.CRC32C)},
		ServerSideEncryption: s.sse,
		DisableMultipart:     true,
		DisableContentSha256: true,
	}
	if cond.IfNoneMatch {
		opts.SetMatchETagExcept("*")
	}
	if cond.IfMatch != "" {
		opts.SetMatchETag(cond.IfMatch)
	}
	source, failed := body.Source(key)
	info, err := s.core.PutObject(ctx, s.cfg.Bucket, s.cfg.Name(key), source, body.Size, "", "", opts)
	if err != nil {
		if err := failed(); err != nil {
			return "", err
		}
		return "", classify(ctx, s3proto.Answer{Op: "put", Key: key, IfMatch: cond.IfMatch != ""}, err)
	}
	if want := s3proto.Checksum(body.CRC32C); info.ChecksumCRC32C != "" && info.ChecksumCRC32C != want {
		return "", &objstore.Error{Class: objstore.ErrCorrupt, Op: "put", Key: key, Detail: fmt.Sprintf("store has crc32c=%s, sent %s", info.ChecksumCRC32C, want)}
	}
	return info.ETag, nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if err := objstore.CheckGet(key, off, n); err != nil {
		return nil, objstore.Info{}, err
	}
	var opts minio.GetObjectOptions
	if r := s3proto.RangeHeader(off, n); r != "" {
		opts.Set("Range", r)
	}
	body, stat, header, err := s.core.GetObject(ctx, s.cfg.Bucket, s.cfg.Name(key), opts)
	if err != nil {
		return nil, objstore.Info{}, classify(ctx, s3proto.Answer{Op: "get", Key: key}, err)
	}
	contentLength, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		contentLength = -1
	}
	length, size, err := s3proto.Span(key, off, n, header.Get("Content-Range"), contentLength)
	if err != nil {
		return nil, objstore.Info{}, errors.Join(err, body.Close())
	}
	r := objstore.Exact(body, key, length, func(err error) error {
		return s3proto.Classify(ctx, s3proto.Answer{Op: "get", Key: key, Cause: err})
	})
	return r, objstore.Info{Key: key, Size: size, ETag: stat.ETag, Modified: stat.LastModified}, nil
}

// Head implements objstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objstore.Info, error) {
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Info{}, err
	}
	stat, err := s.client.StatObject(ctx, s.cfg.Bucket, s.cfg.Name(key), minio.StatObjectOptions{})
	if err != nil {
		return objstore.Info{}, classify(ctx, s3proto.Answer{Op: "head", Key: key}, err)
	}
	return objstore.Info{Key: key, Size: stat.Size, ETag: stat.ETag, Modified: stat.LastModified}, nil
}

// Delete implements objstore.Store with one multi-object delete.
func (s *Store) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	if err := objstore.CheckDelete(keys); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, nil
	}
	// What the store does not confirm is not deleted. The SDK leaves out keys whose error it holds for harmless.
	failed := make(map[string]error, len(keys))
	for _, key := range keys {
		failed[key] = &objstore.Error{Class: objstore.ErrUnavailable, Op: "delete", Key: key, Detail: "no answer for this key"}
	}
	names := func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: s.cfg.Name(key)}) {
				return
			}
		}
	}
	results, err := s.client.RemoveObjectsWithIter(ctx, s.cfg.Bucket, names, minio.RemoveObjectsOptions{})
	if err != nil {
		return nil, classify(ctx, s3proto.Answer{Op: "delete"}, err)
	}
	for r := range results {
		key, _ := s.cfg.Key(r.ObjectName)
		if r.Err == nil {
			delete(failed, key) // a key that was not asked for is not in failed
			continue
		}
		// An error with a status is that of the request, repeated for each key; one without is the key's own.
		if code := minio.ToErrorResponse(r.Err); r.ObjectName == "" || code.StatusCode != 0 || code.Code == "" {
			return nil, classify(ctx, s3proto.Answer{Op: "delete"}, r.Err)
		}
		if err := classify(ctx, s3proto.Answer{Op: "delete", Key: key}, r.Err); errors.Is(err, objstore.ErrNotFound) {
			delete(failed, key)
		} else {
			failed[key] = err
		}
	}
	if err := ctx.Err(); err != nil { // the iterator just ends then
		return nil, fmt.Errorf("delete: %w", err)
	}
	if len(failed) == 0 {
		return nil, nil
	}
	return failed, nil
}

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix, after string, max int) ([]objstore.Info, bool, error) {
	limit := objstore.ListLimit(max)
	opts := minio.ListObjectsOptions{
		Prefix:     s.cfg.NamePrefix(prefix),
		Recursive:  true,
		MaxKeys:    min(limit+1, objstore.MaxListKeys),
		FetchOwner: new(bool),
	}
	if after != "" {
		opts.StartAfter = s.cfg.NamePrefix(after)
	}
	var infos []objstore.Info
	for o := range s.client.ListObjectsIter(ctx, s.cfg.Bucket, opts) {
		if o.Err != nil {
			return nil, false, classify(ctx, s3proto.Answer{Op: "list"}, o.Err)
		}
		key, ok := s.cfg.Key(o.Key)
		if !ok || key <= after {
			continue
		}
		if len(infos) == limit {
			return infos, true, nil
		}
		infos = append(infos, objstore.Info{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.LastModified})
	}
	if err := ctx.Err(); err != nil { // the iterator just ends then
		return nil, false, fmt.Errorf("list: %w", err)
	}
	if !slices.IsSortedFunc(infos, func(a, b objstore.Info) int { return strings.Compare(a.Key, b.Key) }) {
		return nil, false, objstore.Errorf(objstore.ErrInvalid, "list: the store does not list in the order of keys")
	}
	return infos, false, nil
}

// Close implements objstore.Store.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// CreateBucket makes the bucket; that it is there already and ours is not an error. For tests and demos.
func (s *Store) CreateBucket(ctx context.Context) error {
	err := s.client.MakeBucket(ctx, s.cfg.Bucket, minio.MakeBucketOptions{Region: s.cfg.Region})
	if err == nil || minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou" {
		return nil
	}
	return classify(ctx, s3proto.Answer{Op: "create bucket"}, err)
}

// classify takes minio-go's error apart.
func classify(ctx context.Context, a s3proto.Answer, err error) error {
	a.Cause = err
	var resp minio.ErrorResponse
	if errors.As(err, &resp) {
		a.Status, a.Code, a.RequestID, a.Message = resp.StatusCode, resp.Code, resp.RequestID, resp.Message
	}
	return s3proto.Classify(ctx, a)
}
