package awss3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

// Store is an objstore.Store in a bucket.
type Store struct {
	cfg       s3proto.Config
	client    *s3.Client
	transport *http.Transport
}

// Open makes a store. It reads the environment and the shared configuration, and does not talk to the server.
func Open(ctx context.Context, cfg s3proto.Config) (*Store, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if cfg.Region != "" {
		load = append(load, config.WithRegion(cfg.Region))
	}
	base, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, &objstore.Error{Class: objstore.ErrInvalid, Detail: "load AWS configuration", Cause: err}
	}
	if base.Region == "" {
		return nil, objstore.Errorf(objstore.ErrInvalid, "no region (name it in the URL, in AWS_REGION or in the shared configuration)")
	}
	s := &Store{cfg: cfg, transport: s3proto.NewTransport(cfg.MaxConns, cfg.TLS)}
	s.client = s3.NewFromConfig(base, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		o.UsePathStyle = cfg.PathStyle
		o.Retryer = aws.NopRetryer{} // ours is the only layer that retries
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.HTTPClient = &http.Client{
			Transport:     s.transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return s, nil
}

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	if err := objstore.CheckPut(key, body, cond); err != nil {
		return "", err
	}
	sum := s3proto.Checksum(body.CRC32C)
	source, failed := body.Source(key)
	in := &s3.PutObjectInput{
		Bucket:         &s.cfg.Bucket,
		Key:            aws.String(s.cfg.Name(key)),
		Body:           source,
		ContentLength:  &body.Size,
		ContentType:    aws.String("application/octet-stream"),
		ChecksumCRC32C: &sum,
	}
	if cond.IfNoneMatch {
		in.IfNoneMatch = aws.String("*")
	}
	if cond.IfMatch != "" {
		in.IfMatch = aws.String(quoted(cond.IfMatch))
	}
	if s.cfg.SSE != "" {
		in.ServerSideEncryption = types.ServerSideEncryption(s.cfg.SSE)
	}
	if s.cfg.KMSKeyID != "" {
		in.SSEKMSKeyId = &s.cfg.KMSKeyID
	}
	out, err := s.client.PutObject(ctx, in, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	if err != nil {
		if err := failed(); err != nil {
			return "", err
		}
		return "", classify(ctx, s3proto.Answer{Op: "put", Key: key, IfMatch: cond.IfMatch != ""}, err)
	}
	if got := aws.ToString(out.ChecksumCRC32C); got != "" && got != sum {
		return "", &objstore.Error{Class: objstore.ErrCorrupt, Op: "put", Key: key, Detail: fmt.Sprintf("store has crc32c=%s, sent %s", got, sum)}
	}
	return unquoted(aws.ToString(out.ETag)), nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if err := objstore.CheckGet(key, off, n); err != nil {
		return nil, objstore.Info{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: aws.String(s.cfg.Name(key))}
	if r := s3proto.RangeHeader(off, n); r != "" {
		in.Range = &r
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, objstore.Info{}, classify(ctx, s3proto.Answer{Op: "get", Key: key}, err)
	}
	contentLength := int64(-1)
	if out.ContentLength != nil {
		contentLength = *out.ContentLength
	}
	length, size, err := s3proto.Span(key, off, n, aws.ToString(out.ContentRange), contentLength)
	if err != nil {
		return nil, objstore.Info{}, errors.Join(err, out.Body.Close())
	}
	r := objstore.Exact(out.Body, key, length, func(err error) error {
		return s3proto.Classify(ctx, s3proto.Answer{Op: "get", Key: key, Cause: err})
	})
	return r, objstore.Info{Key: key, Size: size, ETag: unquoted(aws.ToString(out.ETag)), Modified: aws.ToTime(out.LastModified)}, nil
}

// Head implements objstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objstore.Info, error) {
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Info{}, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.Bucket, Key: aws.String(s.cfg.Name(key))})
	if err != nil {
		return objstore.Info{}, classify(ctx, s3proto.Answer{Op: "head", Key: key}, err)
	}
	if out.ContentLength == nil {
		return objstore.Info{}, &objstore.Error{Class: objstore.ErrInvalid, Op: "head", Key: key, Detail: "answer has no content length"}
	}
	return objstore.Info{Key: key, Size: *out.ContentLength, ETag: unquoted(aws.ToString(out.ETag)), Modified: aws.ToTime(out.LastModified)}, nil
}

// Delete implements objstore.Store with one multi-object delete.
func (s *Store) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	if err := objstore.CheckDelete(keys); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, nil
	}
	failed := make(map[string]error, len(keys)) // what the store does not confirm is not deleted
	objects := make([]types.ObjectIdentifier, len(keys))
	for i, key := range keys {
		failed[key] = &objstore.Error{Class: objstore.ErrUnavailable, Op: "delete", Key: key, Detail: "no answer for this key"}
		objects[i].Key = aws.String(s.cfg.Name(key))
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &s.cfg.Bucket, Delete: &types.Delete{Objects: objects}})
	if err != nil {
		return nil, classify(ctx, s3proto.Answer{Op: "delete"}, err)
	}
	for _, d := range out.Deleted {
		if key, ok := s.cfg.Key(aws.ToString(d.Key)); ok {
			delete(failed, key)
		}
	}
	for _, e := range out.Errors {
		key, ok := s.cfg.Key(aws.ToString(e.Key))
		if _, asked := failed[key]; !ok || !asked {
			continue
		}
		err := s3proto.Classify(ctx, s3proto.Answer{Op: "delete", Key: key, Code: aws.ToString(e.Code), Message: aws.ToString(e.Message)})
		if errors.Is(err, objstore.ErrNotFound) {
			delete(failed, key)
		} else {
			failed[key] = err
		}
	}
	if len(failed) == 0 {
		return nil, nil
	}
	return failed, nil
}

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix, after string, max int) ([]objstore.Info, bool, error) {
	limit := objstore.ListLimit(max)
	in := &s3.ListObjectsV2Input{Bucket: &s.cfg.Bucket, Prefix: aws.String(s.cfg.NamePrefix(prefix)), MaxKeys: aws.Int32(int32(limit))}
	if after != "" {
		in.StartAfter = aws.String(s.cfg.NamePrefix(after))
	}
	out, err := s.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, false, classify(ctx, s3proto.Answer{Op: "list"}, err)
	}
	infos := make([]objstore.Info, 0, len(out.Contents))
	for _, o := range out.Contents {
		key, ok := s.cfg.Key(aws.ToString(o.Key))
		if !ok {
			continue
		}
		if len(infos) > 0 && key <= infos[len(infos)-1].Key || key <= after {
			return nil, false, objstore.Errorf(objstore.ErrInvalid, "list: the store does not list in the order of keys")
		}
		infos = append(infos, objstore.Info{Key: key, Size: aws.ToInt64(o.Size), ETag: unquoted(aws.ToString(o.ETag)), Modified: aws.ToTime(o.LastModified)})
	}
	return infos, aws.ToBool(out.IsTruncated), nil
}

// Close implements objstore.Store.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// classify takes the SDK's error apart.
func classify(ctx context.Context, a s3proto.Answer, err error) error {
	a.Cause = err
	var api smithy.APIError
	if errors.As(err, &api) {
		a.Code, a.Message = api.ErrorCode(), api.ErrorMessage()
	}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		a.Status, a.RequestID = resp.HTTPStatusCode(), resp.ServiceRequestID()
	}
	return s3proto.Classify(ctx, a)
}
