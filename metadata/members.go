package metadata

import "errors"

// ErrNoChange says that the members are already as they were asked to be.
var ErrNoChange = errors.New("no change of the metadata group")
