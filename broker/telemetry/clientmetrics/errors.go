package clientmetrics

import "errors"

// Why a request is refused.
var (
	ErrInvalidID           = errors.New("invalid client instance id")
	ErrTooOften            = errors.New("request before the next push interval")
	ErrTerminated          = errors.New("the client has said that it pushes no more")
	ErrUnknownSubscription = errors.New("unknown subscription id")
	ErrCodec               = errors.New("unknown compression type")
	ErrTooLarge            = errors.New("too many bytes of metrics")
	ErrMalformed           = errors.New("metrics are not OTLP")
)
