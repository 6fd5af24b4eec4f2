package clientmetrics

import (
	"context"
	"fmt"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// exportMethod is OTLP's call.
const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

type grpcSender struct {
	env  *environment
	conn *grpc.ClientConn
}

func newGRPCSender(env *environment) (*grpcSender, error) {
	secure := insecure.NewCredentials()
	if !env.insecure {
		c, err := env.tls()
		if err != nil {
			return nil, err
		}
		secure = credentials.NewTLS(c)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(secure),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(encoded{}), grpc.MaxCallRecvMsgSize(maxAnswer)),
	}
	if env.gzip {
		options = append(options, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	conn, err := grpc.NewClient(env.endpoint.Host, options...)
	if err != nil {
		return nil, err
	}
	return &grpcSender{env: env, conn: conn}, nil
}

// encoded passes messages on as they are: they are encoded already.
type encoded struct{}

// Marshal implements encoding.Codec.
func (encoded) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

// Unmarshal implements encoding.Codec.
func (encoded) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}

// Name is that of the encoding on the wire.
func (encoded) Name() string { return "proto" }

// send implements sender.
func (s *grpcSender) send(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.env.timeout)
	defer cancel()
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(s.env.headers))
	var answer []byte
	err := s.conn.Invoke(ctx, exportMethod, &body, &answer)
	switch status.Code(err) {
	case codes.OK:
		return partial(answer)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.DataLoss, codes.Canceled:
		return err
	default:
		return backoff.Permanent(fmt.Errorf("collector refuses: %w", err))
	}
}

// close ends the connection; whoever waits for it has an error.
func (s *grpcSender) close() { _ = s.conn.Close() }
