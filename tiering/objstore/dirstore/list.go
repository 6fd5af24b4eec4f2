package dirstore

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// List implements objstore.Store: a walk in the order of keys that enters no directory which cannot hold an answer.
func (s *Store) List(ctx context.Context, prefix, after string, max int) ([]objstore.Info, bool, error) {
	l := lister{ctx: ctx, fsys: s.root.FS(), prefix: prefix, after: after, max: objstore.ListLimit(max)}
	err := l.walk(".", "")
	if errors.Is(err, errEnough) {
		return l.found, true, nil
	}
	if err != nil {
		if objstore.Canceled(err) {
			return nil, false, err
		}
		return nil, false, fail("list", "", err)
	}
	return l.found, false, nil
}

var errEnough = errors.New("enough")

type lister struct {
	ctx           context.Context
	fsys          fs.FS
	prefix, after string
	max           int
	found         []objstore.Info
}

// walk visits the directory dir, whose keys all begin with base ("" or ending in a slash).
func (l *lister) walk(dir, base string) error {
	entries, err := fs.ReadDir(l.fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed while we walk
	}
	if err != nil {
		return err
	}
	// Keys sort as strings, in which the slash behind a directory's name takes part: "a-b" comes before "a/b".
	name := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(name(a), name(b)) })
	for _, e := range entries {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		key := base + name(e)
		switch {
		case e.IsDir():
			inside := strings.HasPrefix(key, l.prefix) || strings.HasPrefix(l.prefix, key)
			behind := key > l.after || strings.HasPrefix(l.after, key)
			if inside && behind {
				if err := l.walk(strings.TrimSuffix(key, "/"), key); err != nil {
					return err
				}
			}
		case e.Type().IsRegular() && strings.HasPrefix(key, l.prefix) && key > l.after:
			if len(l.found) == l.max {
				return errEnough
			}
			fi, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			l.found = append(l.found, infoOf(key, fi))
		}
	}
	return nil
}
