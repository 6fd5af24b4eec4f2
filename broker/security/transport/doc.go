// Package transport is the TLS of a listener: the broker's key and certificates, the
// authorities it believes, and the name that a client's certificate gives it.
//
// # Stores
//
// Keys and certificates come as PEM or PKCS12, from files or from the settings
// themselves. A private key in PEM may be encrypted (PKCS #8 with PBES2). Files are
// bounded (maxStoreBytes), and a JKS file is refused with what to do about it. In place of
// a file there may be a directory with tls.crt and tls.key, or ca.crt for a trust store: so
// Kubernetes mounts a secret of TLS, and cert-manager writes it.
//
// # Reloading
//
// Poll looks whether a file has another size or time than the one in force, and Change
// takes other settings. Both make everything anew and publish it by one pointer: a
// handshake sees the old or the new, never a mixture. What can not be read, or does not
// fit together, as when a key was written and its certificate not yet, leaves the old in
// force, is logged once, and is tried again by the next Poll. Connections that are open
// stay as they are; tickets of the old are not taken any more.
//
// # Names
//
// A client that shows a good certificate is named by the rules of
// ssl.principal.mapping.rules, which take the distinguished name as Java writes it
// (RFC 2253, attributes in the order of the certificate reversed). Where no rule fits the
// connection is refused, as Kafka does.
//
// # Concurrency
//
// Upgrade and Principal may be called from any goroutine. Poll and Change must not be
// called at the same time as each other.
package transport
