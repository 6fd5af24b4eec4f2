package awss3_test

import (
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/awss3"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

func TestWire(t *testing.T) {
	objstoretest.RunWire(t, func(t *testing.T, cfg s3proto.Config) objstore.Store {
		s, err := awss3.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
