// Command certs makes an authority, a broker's certificate and those of two clients for
// trying out TLS, with keys in PEM and PKCS12:
//
//	certs [-dir .data/certs] [-hosts localhost,127.0.0.1] [-password changeit]
//
// It is what `make certs` runs. An authority that is there already goes on signing, so that
// a second run renews the others.
package main
