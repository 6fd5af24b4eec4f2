package s3proto

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// Answer is what a store said, taken out of an SDK's error.
type Answer struct {
	Op        string // put, get, head, delete, list
	Key       string
	IfMatch   bool   // the call was a put with If-Match
	Status    int    // 0: no HTTP answer, or an error within a multi-object delete
	Code      string // S3 error code, "" when there was none
	RequestID string
	Message   string // the store's own words
	Cause     error  // what the SDK returned
}

// codes whose class does not follow from their status, or that come without one.
var codes = map[string]error{
	"NoSuchBucket":                   objstore.ErrDenied,
	"AccessDenied":                   objstore.ErrDenied,
	"AllAccessDisabled":              objstore.ErrDenied,
	"InvalidAccessKeyId":             objstore.ErrDenied,
	"SignatureDoesNotMatch":          objstore.ErrDenied,
	"RequestTimeTooSkewed":           objstore.ErrDenied,
	"PermanentRedirect":              objstore.ErrDenied,
	"AuthorizationHeaderMalformed":   objstore.ErrDenied,
	"InvalidRegion":                  objstore.ErrDenied,
	"PreconditionFailed":             objstore.ErrPrecondition,
	"InvalidRange":                   objstore.ErrRange,
	"BadDigest":                      objstore.ErrCorrupt,
	"InvalidDigest":                  objstore.ErrCorrupt,
	"XAmzContentChecksumMismatch":    objstore.ErrCorrupt,
	"XAmzContentSHA256Mismatch":      objstore.ErrCorrupt,
	"ConditionalRequestConflict":     objstore.ErrUnavailable,
	"OperationAborted":               objstore.ErrUnavailable,
	"IncompleteBody":                 objstore.ErrUnavailable,
	"RequestTimeout":                 objstore.ErrUnavailable,
	"ExpiredToken":                   objstore.ErrUnavailable, // the next attempt has new credentials
	"ExpiredTokenException":          objstore.ErrUnavailable,
	"InternalError":                  objstore.ErrUnavailable,
	"ServiceUnavailable":             objstore.ErrUnavailable,
	"SlowDown":                       objstore.ErrUnavailable,
	"SlowDownRead":                   objstore.ErrUnavailable,
	"SlowDownWrite":                  objstore.ErrUnavailable,
	"Throttling":                     objstore.ErrUnavailable,
	"ThrottlingException":            objstore.ErrUnavailable,
	"RequestLimitExceeded":           objstore.ErrUnavailable,
	"RequestThrottled":               objstore.ErrUnavailable,
	"TooManyRequests":                objstore.ErrUnavailable,
	"RequestThrottledException":      objstore.ErrUnavailable,
	"TooManyRequestsException":       objstore.ErrUnavailable,
	"BandwidthLimitExceeded":         objstore.ErrUnavailable,
	"XMinioServerNotInitialized":     objstore.ErrUnavailable,
	"XMinioReadQuorum":               objstore.ErrUnavailable,
	"XMinioWriteQuorum":              objstore.ErrUnavailable,
	"XMinioStorageFull":              objstore.ErrUnavailable,
	"XMinioBackendDown":              objstore.ErrUnavailable,
	"XMinioObjectExistsAsDirectory":  objstore.ErrInvalid,
	"XMinioParentIsObject":           objstore.ErrInvalid,
	"XMinioInvalidObjectName":        objstore.ErrInvalid,
	"XMinioAdminBucketQuotaExceeded": objstore.ErrUnavailable,
}

// Classify makes the error of an answer. When the caller's context has ended, its error is the answer.
func Classify(ctx context.Context, a Answer) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w key=%s", a.Op, err, a.Key)
	}
	e := &objstore.Error{Class: class(a), Op: a.Op, Key: a.Key, Status: a.Status, Code: a.Code, RequestID: a.RequestID, Detail: a.Message}
	if a.Status == 0 && a.Code == "" && a.Cause != nil {
		// A context's error in the chain is not the caller's (see above) and must not look like it.
		e.Detail = a.Cause.Error()
		if !errors.Is(a.Cause, context.Canceled) && !errors.Is(a.Cause, context.DeadlineExceeded) {
			e.Detail, e.Cause = "", a.Cause
		}
	}
	return e
}

func class(a Answer) error {
	if c, ok := codes[a.Code]; ok {
		return c
	}
	switch {
	case a.Status == 404 || a.Code == "NoSuchKey" || a.Code == "NotFound":
		if a.Op == "get" || a.Op == "head" || (a.Op == "delete" && a.Key != "") {
			return objstore.ErrNotFound
		}
		if a.IfMatch {
			return objstore.ErrPrecondition
		}
		return objstore.ErrDenied // a put, list or multi-delete can only miss the bucket
	case a.Status == 412:
		return objstore.ErrPrecondition
	case a.Status == 416:
		return objstore.ErrRange
	case a.Status == 401, a.Status == 403, a.Status/100 == 3:
		return objstore.ErrDenied
	case a.Status == 408, a.Status == 409, a.Status == 425, a.Status == 429, a.Status == 499:
		return objstore.ErrUnavailable
	case a.Status == 501:
		return objstore.ErrInvalid
	case a.Status/100 == 4:
		return objstore.ErrInvalid
	}
	if a.Status == 0 && badCertificate(a.Cause) {
		return objstore.ErrDenied
	}
	return objstore.ErrUnavailable
}

// badCertificate tells errors of TLS that no retry mends.
func badCertificate(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
	)
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify) ||
		(err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"))
}
