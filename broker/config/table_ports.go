package config

// portSettings protect the ports that are not for Kafka clients, and the way to the object store. Keys and certificates are PEM.
var portSettings = []Setting{
	{Key: "peer.tls.certificate", Type: String, Allowed: Allowed{Text: "a file, or empty (no TLS between brokers)"},
		Doc: "This broker's certificate for rpc.listener, and those that lead from it to an authority. It serves for both ends of connections between brokers, so it must be good for servers and for clients, and for the host of rpc.advertised. With it brokers speak TLS 1.3 with one another and nothing else, and each shows a certificate; all brokers of a cluster have it or none. New files serve new connections."},
	{Key: "peer.tls.key", Type: String, Allowed: Allowed{Text: "a file"},
		Doc: "The private key of peer.tls.certificate."},
	{Key: "peer.tls.ca", Type: String, Allowed: Allowed{Text: "a file"},
		Doc: "The authorities whose certificates the other brokers show. Whoever has a certificate of theirs is a broker of this cluster: give it an authority of its own."},
	{Key: "object.store.ca.file", Type: String, Allowed: Allowed{Text: "a file, or empty (those of the system)"},
		Doc: "The authorities that vouch for an object store at an https endpoint, in place of those of the system."},
	{Key: "object.store.tls.min.version", Type: String, Default: "TLSv1.2", Allowed: oneOf("TLSv1.2", "TLSv1.3"),
		Doc: "The lowest version of TLS that is spoken with the object store."},
	{Key: "http.ssl.certificate", Type: String, Allowed: Allowed{Text: "a file, or empty (no TLS)"},
		Doc: "The certificate of http.listener, and those that lead from it to an authority. New files serve new connections."},
	{Key: "http.ssl.key", Type: String, Allowed: Allowed{Text: "a file"},
		Doc: "The private key of http.ssl.certificate."},
	{Key: "http.users", Type: String, Default: "none", Allowed: oneOf("none", "scram"),
		Doc: "Who may use http.listener, but for /healthz, /readyz and /readyz/in-sync: with scram the users that have a SCRAM credential, by HTTP's basic authentication. With an authorizer a user needs Describe on the cluster to look, and Alter to change anything. Passwords are safe with http.ssl.certificate only."},
	{Key: "http.allow.unauthenticated", Type: Bool, Default: "false",
		Doc: "Let http.listener be on an address that is not a loopback one without TLS or without users: anybody who reaches it can then move replicas."},
}

// checkPorts refuses what does not go together. Whether an address is a loopback one is known only once it is bound; the broker looks then.
func (c *Config) checkPorts(refuse func(key, why string)) {
	if some := c.PeerTLSCertificate + c.PeerTLSKey + c.PeerTLSCA; some != "" && (c.PeerTLSCertificate == "" || c.PeerTLSKey == "" || c.PeerTLSCA == "") {
		refuse("peer.tls.certificate", "it goes with peer.tls.key and peer.tls.ca: give all three or none")
	}
	if (c.HTTPCertificate == "") != (c.HTTPKey == "") {
		refuse("http.ssl.certificate", "it goes with http.ssl.key: give both or none")
	}
}
