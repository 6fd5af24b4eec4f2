package awss3_test

import (
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/awss3"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

func TestMain(m *testing.M) { objstoretest.Main(m) }

func TestConformance(t *testing.T) {
	objstoretest.Run(t, func(t *testing.T) objstore.Store {
		s, err := awss3.Open(t.Context(), objstoretest.Shared(t).Config(objstoretest.Prefix(t)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
