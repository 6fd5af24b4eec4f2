package objstore

import "fmt"

// Check refuses with ErrInvalid a body that no store can take.
func (b Body) Check() error {
	if b.ReaderAt == nil {
		return Errorf(ErrInvalid, "body has no reader")
	}
	if b.Size < 0 || b.Size > MaxObjectSize {
		return Errorf(ErrInvalid, "body size out of range size=%d max=%d", b.Size, int64(MaxObjectSize))
	}
	return nil
}

// CheckPut is what every backend asks before it does anything for a Put.
func CheckPut(key string, body Body, cond Condition) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if err := body.Check(); err != nil {
		return err
	}
	return cond.Check()
}

// CheckGet is what every backend asks before it does anything for a Get.
func CheckGet(key string, off, n int64) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if off < 0 || n == 0 || (n > 0 && off+n < off) {
		return Errorf(ErrInvalid, "bad range key=%s offset=%d length=%d", key, off, n)
	}
	return nil
}

// CheckDelete is what every backend asks before it does anything for a Delete.
func CheckDelete(keys []string) error {
	if len(keys) > MaxDeleteKeys {
		return Errorf(ErrInvalid, "too many keys in one delete keys=%d max=%d", len(keys), MaxDeleteKeys)
	}
	for _, key := range keys {
		if err := CheckKey(key); err != nil {
			return err
		}
	}
	return nil
}

// Span resolves a range against an object's size: length bytes from off on, cut at the end. ErrRange as Store.Get documents.
func Span(key string, off, n, size int64) (length int64, err error) {
	if off == 0 && n < 0 {
		return size, nil
	}
	if off >= size {
		return 0, &Error{Class: ErrRange, Op: "get", Key: key, Detail: fmt.Sprintf("offset=%d size=%d", off, size)}
	}
	if n < 0 {
		return size - off, nil
	}
	return min(n, size-off), nil
}

// ListLimit is how many objects a List that was asked for that many may return: at least one, at most MaxListKeys.
func ListLimit(asked int) int {
	return min(max(asked, 1), MaxListKeys)
}
