package objstore_test

import (
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

func TestKeys(t *testing.T) {
	id := [16]byte{0xab, 0xcd, 14: 0x01, 15: 0xff}
	for _, c := range []struct {
		kind objstore.Kind
		want string
	}{
		{objstore.KindData, "data/ab/abcd00000000000000000000000001ff.seg"},
		{objstore.KindPages, "manifest/ab/abcd00000000000000000000000001ff.pages"},
		{objstore.KindSnapshot, "metadata/ab/abcd00000000000000000000000001ff.snap"},
		{objstore.KindProbe, "probe/abcd00000000000000000000000001ff"},
	} {
		key := objstore.Key(c.kind, id)
		if key != c.want {
			t.Errorf("key of %s is %s, want %s", c.kind, key, c.want)
		}
		if err := objstore.CheckKey(key); err != nil {
			t.Error(err)
		}
		if kind, got, ok := objstore.ParseKey(key); !ok || kind != c.kind || got != id {
			t.Errorf("ParseKey(%s) = %s %x %t", key, kind, got, ok)
		}
		if !strings.HasPrefix(key, objstore.Prefix(c.kind)) {
			t.Errorf("%s does not begin with %s", key, objstore.Prefix(c.kind))
		}
	}
	if kind, _, ok := objstore.ParseKey(objstore.RootKey); !ok || kind != objstore.KindRoot {
		t.Errorf("root: %s %t", kind, ok)
	}
	for _, key := range []string{
		"", "data", "data/", "data/ab", "data/ab/", "data/ab/.seg", "data/ac/abcd00000000000000000000000001ff.seg",
		"data/AB/ABCD00000000000000000000000001FF.seg", "data/ab/abcd00000000000000000000000001ff.pages",
		"data/ab/abcd00000000000000000000000001ff", "data/ab/abcd00000000000000000000000001f.seg", "roots",
		"data/ab/abcd00000000000000000000000001fg.seg", "probe/x", "other/ab/abcd00000000000000000000000001ff.seg",
		"data/ab/x/abcd00000000000000000000000001ff.seg",
	} {
		if kind, id, ok := objstore.ParseKey(key); ok || kind != objstore.KindUnknown || id != [16]byte{} {
			t.Errorf("ParseKey(%q) = %s %x %t", key, kind, id, ok)
		}
	}
}

func TestKeyOfKindWithoutIDPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	objstore.Key(objstore.KindRoot, [16]byte{})
}

func TestCheckKey(t *testing.T) {
	for _, key := range objstoretest.BadKeys {
		if objstore.CheckKey(key) == nil {
			t.Errorf("key %q is accepted", key)
		}
	}
	for _, key := range []string{"a", "a/b", "a.b", "a..b", "A-Z_0=9/x.seg", strings.Repeat("a", 200)} {
		if err := objstore.CheckKey(key); err != nil {
			t.Error(err)
		}
	}
	if err := objstore.CheckPrefix(""); err != nil {
		t.Error(err)
	}
	if objstore.CheckPrefix("a/") == nil || objstore.CheckPrefix("../x") == nil {
		t.Error("bad prefix accepted")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("root")
	f.Add(objstore.DataKey([16]byte{1}))
	f.Add(objstore.PagesKey([16]byte{0xfe, 2}))
	f.Add(objstore.SnapshotKey([16]byte{3}))
	f.Add(objstore.Key(objstore.KindProbe, [16]byte{4}))
	for _, key := range objstoretest.BadKeys {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		valid := objstore.CheckKey(key) == nil
		if valid && (strings.Contains("/"+key+"/", "/./") || strings.Contains("/"+key+"/", "/../") || strings.ContainsAny(key, "\\\x00") || strings.HasPrefix(key, "/")) {
			t.Errorf("dangerous key %q is valid", key)
		}
		kind, id, ok := objstore.ParseKey(key)
		if !ok {
			return
		}
		if !valid {
			t.Errorf("key %q of ours is not valid", key)
		}
		if kind == objstore.KindRoot {
			if key != objstore.RootKey {
				t.Errorf("key %q parses as root", key)
			}
		} else if again := objstore.Key(kind, id); again != key {
			t.Errorf("key %q is made again as %q", key, again)
		}
	})
}
