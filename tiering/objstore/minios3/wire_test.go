package minios3_test

import (
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/minios3"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

func TestWire(t *testing.T) {
	objstoretest.RunWire(t, func(t *testing.T, cfg s3proto.Config) objstore.Store {
		s, err := minios3.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
