package dirstore

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// fail gives an error of the file system its class. Errors that have one keep it.
func fail(op, key string, err error) error {
	if objstore.ClassOf(err) != nil {
		return err
	}
	e := &objstore.Error{Class: objstore.ErrUnavailable, Op: op, Key: key, Cause: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if op != "put" { // there it is a directory that comes and goes, never an object that is not there
			e.Class = objstore.ErrNotFound
		}
	case errors.Is(err, fs.ErrPermission):
		e.Class = objstore.ErrDenied
	case errors.Is(err, syscall.EROFS):
		e.Class, e.Detail = objstore.ErrDenied, "file system is read-only"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Detail = "disk is full" // space may come back: worth another try
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTEMPTY):
		// One key is the path prefix of another. A read finds nothing there, a write must not happen.
		if e.Class = objstore.ErrInvalid; op == "get" || op == "head" || op == "delete" {
			e.Class = objstore.ErrNotFound
		}
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENAMETOOLONG):
		e.Class = objstore.ErrInvalid
	}
	return e
}
