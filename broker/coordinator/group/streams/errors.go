package streams

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// refusal is an error code of Kafka and what is said with it.
type refusal struct {
	code    int16
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(kind *kerr.Error, format string, args ...any) error {
	return &refusal{kind.Code, fmt.Sprintf(format, args...)}
}

// codeOf takes an error of this package apart for a response.
func codeOf(err error) (code int16, message string) {
	if r, ok := err.(*refusal); ok { //nolint:errorlint // made here, never wrapped
		return r.code, r.message
	}
	return kerr.UnknownServerError.Code, err.Error()
}
