package retry_test

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// quick is a back-off for tests in real time.
func quick() backoff.BackOff { return backoff.NewConstantBackOff(time.Microsecond) }
