package sasl

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// maxUsersBytes bounds a file of users.
const maxUsersBytes = 16 << 20

// UsersFile is a file of users that is read again when it has changed.
type UsersFile struct {
	path   string
	logger *slog.Logger
	users  atomic.Pointer[Users]

	// Of Poll.
	size    int64
	at      time.Time
	failure string
}

// OpenUsers reads a file of users.
func OpenUsers(path string, logger *slog.Logger) (*UsersFile, error) {
	f := &UsersFile{path: path, logger: logger}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Judge reports whether the password is that of the user.
func (f *UsersFile) Judge(user, password string) bool { return f.users.Load().Judge(user, password) }

// Poll reads the file if it has changed since it was tried last. A file that is no good
// leaves the users as they were, and is tried again. It must not run twice at a time.
func (f *UsersFile) Poll() {
	info, err := os.Stat(f.path)
	if err == nil && f.failure == "" && info.Size() == f.size && info.ModTime().Equal(f.at) {
		return
	}
	if err == nil {
		err = f.read()
	}
	if err != nil {
		if text := err.Error(); text != f.failure {
			f.failure = text
			f.logger.Error("users can not be read; those before stay", "path", f.path, "error", err)
		}
		return
	}
	f.failure = ""
	f.logger.Info("users read", "path", f.path, "users", f.users.Load().Len())
}

func (f *UsersFile) read() error {
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	defer func() { _ = file.Close() }() // it was read only
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxUsersBytes+1))
	if err != nil {
		return fmt.Errorf("users: %w: path=%s", err, f.path)
	}
	if len(text) > maxUsersBytes {
		return fmt.Errorf("users: file is too large: limit=%d path=%s", maxUsersBytes, f.path)
	}
	users, err := ParseUsers(string(text))
	if err != nil {
		return fmt.Errorf("users: %w: path=%s", err, f.path)
	}
	f.size, f.at = info.Size(), info.ModTime()
	f.users.Store(users)
	return nil
}
