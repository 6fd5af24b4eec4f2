package awss3

import "strings"

// quoted and unquoted turn an ETag into its form in a header and back. A weak ETag would not be one to rely on; S3 has none.

func quoted(etag string) string { return `"` + etag + `"` }

func unquoted(etag string) string { return strings.TrimSuffix(strings.TrimPrefix(etag, `"`), `"`) }
