// Package pki makes certificates for tests and for trying things out: an authority,
// and keys with certificates that it signs, as PEM and PKCS12.
//
// The authority's key lies beside what it signed, so none of this is for production.
package pki
