package objstore

import (
	"encoding/hex"
	"strings"
)

const (
	// MaxKeySize bounds a key in bytes, so that key and URL prefix together stay below the 1024 of S3.
	MaxKeySize = 512
	// MaxPrefixSize bounds the prefix of a URL in bytes.
	MaxPrefixSize = 400
	// maxPartSize bounds one part between slashes: the name length of common file systems, less room for a temporary suffix.
	maxPartSize = 200
)

// Kind tells what an object holds.
type Kind uint8

// The kinds of objects that this cluster names. KindUnknown is for keys that are not ours.
const (
	KindUnknown  Kind = iota
	KindRoot          // the root object: one per cluster, changed by conditional put only
	KindData          // a segment or a bundle
	KindPages         // manifest pages
	KindSnapshot      // a metadata snapshot
	KindProbe         // left by a capability probe that did not finish
)

// RootKey is the key of the cluster's root object.
const RootKey = "root"

// layout has the names of the kinds that carry an id: <dir>/<2 hex>/<32 hex><suffix>.
var layout = [...]struct {
	kind        Kind
	dir, suffix string
}{
	{KindData, "data", ".seg"},
	{KindPages, "manifest", ".pages"},
	{KindSnapshot, "metadata", ".snap"},
}

const probeDir = "probe"

// String names the kind as metrics and logs do.
func (k Kind) String() string {
	switch k {
	case KindRoot:
		return "root"
	case KindProbe:
		return probeDir
	}
	for _, l := range layout {
		if l.kind == k {
			return l.dir
		}
	}
	return "other"
}

// Key names the object of a kind with an id: KindData, KindPages, KindSnapshot or KindProbe. Any other kind has no id: it panics.
func Key(kind Kind, id [16]byte) string {
	name := hex.EncodeToString(id[:])
	if kind == KindProbe {
		return probeDir + "/" + name
	}
	for _, l := range layout {
		if l.kind == kind {
			return l.dir + "/" + name[:2] + "/" + name + l.suffix
		}
	}
	panic("objstore: kind without ids: " + kind.String())
}

// DataKey names the object of a segment or bundle.
func DataKey(id [16]byte) string { return Key(KindData, id) }

// PagesKey names an object of manifest pages.
func PagesKey(id [16]byte) string { return Key(KindPages, id) }

// SnapshotKey names an object with a metadata snapshot.
func SnapshotKey(id [16]byte) string { return Key(KindSnapshot, id) }

// Prefix is what all keys of a kind with ids begin with, for List.
func Prefix(kind Kind) string { return kind.String() + "/" }

// ParseKey is the inverse of Key and RootKey. ok is false for every key that those two do not make, byte for byte.
func ParseKey(key string) (kind Kind, id [16]byte, ok bool) {
	if key == RootKey {
		return KindRoot, id, true
	}
	dir, rest, _ := strings.Cut(key, "/")
	if dir == probeDir {
		id, ok = parseID(rest)
		if !ok {
			return KindUnknown, id, false
		}
		return KindProbe, id, true
	}
	for _, l := range layout {
		if l.dir != dir {
			continue
		}
		fan, name, _ := strings.Cut(rest, "/")
		name, found := strings.CutSuffix(name, l.suffix)
		if id, ok = parseID(name); !found || !ok || fan != name[:2] {
			return KindUnknown, [16]byte{}, false
		}
		return l.kind, id, true
	}
	return KindUnknown, id, false
}

// parseID accepts 32 lower-case hex digits and nothing else.
func parseID(s string) (id [16]byte, ok bool) {
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return [16]byte{}, false
	}
	return id, true
}

// CheckKey refuses with ErrInvalid what is not a key by the grammar of the package page.
func CheckKey(key string) error {
	if len(key) > MaxKeySize {
		return Errorf(ErrInvalid, "key too long size=%d max=%d", len(key), MaxKeySize)
	}
	return checkParts("key", key)
}

// CheckPrefix refuses with ErrInvalid what cannot stand before a key with a slash between: it must be a key
// itself, of at most MaxPrefixSize bytes. The empty prefix is allowed.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if len(prefix) > MaxPrefixSize {
		return Errorf(ErrInvalid, "prefix too long size=%d max=%d", len(prefix), MaxPrefixSize)
	}
	return checkParts("prefix", prefix)
}

func checkParts(what, key string) error {
	part := 0 // bytes of the current part so far
	for i := range len(key) {
		c := key[i]
		switch {
		case c == '/':
			if part == 0 {
				return Errorf(ErrInvalid, "%s has an empty part %s=%q", what, what, key)
			}
			part = 0
			continue
		case c == '.' && part == 0:
			return Errorf(ErrInvalid, "%s has a part that begins with a dot %s=%q", what, what, key)
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '=':
		default:
			return Errorf(ErrInvalid, "%s has a byte that is not allowed (letters, digits, '-', '_', '.', '=', '/') byte=%#02x %s=%q", what, c, what, key)
		}
		if part++; part > maxPartSize {
			return Errorf(ErrInvalid, "%s has a part longer than %d bytes %s=%q", what, maxPartSize, what, key)
		}
	}
	if part == 0 {
		return Errorf(ErrInvalid, "%s is empty or ends in a slash %s=%q", what, what, key)
	}
	return nil
}
