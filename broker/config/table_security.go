package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// mechanisms are the SASL mechanisms that there are.
var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}

// Names of classes of Kafka's own that clusters are configured with; what they do is
// done here without them.
const (
	principalBuilder = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"
	tokenValidator   = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
	tokenValidator3  = "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerValidatorCallbackHandler"
)

var storeTypes = orEmpty(oneOf("PEM", "PKCS12", "JKS"), "told by the file itself")

// encryptionSettings may each be given for one listener: listener.name.<name in lower
// case>.<key>.
var encryptionSettings = []Setting{
	{Key: "ssl.keystore.location", Type: String, Update: PerBroker, PerListener: true, Allowed: Allowed{Text: "a file or a directory"},
		Doc: "The broker's private key and the certificates that lead from it to an authority, in one file: PEM or PKCS12; or a directory that has them as tls.crt and tls.key. The file is looked at every ssl.reload.interval.ms, and a new one serves new connections; one that can not be read leaves the old one in force."},
	{Key: "ssl.keystore.type", Type: String, Update: PerBroker, PerListener: true, Allowed: storeTypes,
		Doc: "The form of ssl.keystore.location. JKS is accepted as Java takes it, for a file that is PKCS12 in truth; a real JKS file is refused, and keytool -importkeystore -deststoretype pkcs12 makes one that is not."},
	{Key: "ssl.keystore.password", Type: Password, Update: PerBroker, PerListener: true, Sensitive: true,
		Doc: "The password of a PKCS12 key store."},
	{Key: "ssl.key.password", Type: Password, Update: PerBroker, PerListener: true, Sensitive: true,
		Doc: "The password of the private key, where a PEM file or ssl.keystore.key has it encrypted (PKCS #8, PBES2). In a PKCS12 file it must be the password of the store."},
	{Key: "ssl.keystore.key", Type: Password, Update: PerBroker, PerListener: true, Sensitive: true, Allowed: Allowed{Text: "a private key as PEM"},
		Doc: "The broker's private key itself, in place of ssl.keystore.location."},
	{Key: "ssl.keystore.certificate.chain", Type: Password, Update: PerBroker, PerListener: true, Sensitive: true, Allowed: Allowed{Text: "certificates as PEM, the broker's first"},
		Doc: "The certificates that belong to ssl.keystore.key."},
	{Key: "ssl.truststore.location", Type: String, Update: PerBroker, PerListener: true, Allowed: Allowed{Text: "a file or a directory"},
		Doc: "The authorities whose certificates clients may show, as PEM or PKCS12, or a directory that has them as ca.crt; needed where ssl.client.auth is not none. It is looked at like ssl.keystore.location."},
	{Key: "ssl.truststore.type", Type: String, Update: PerBroker, PerListener: true, Allowed: storeTypes,
		Doc: "The form of ssl.truststore.location."},
	{Key: "ssl.truststore.password", Type: Password, Update: PerBroker, PerListener: true, Sensitive: true,
		Doc: "The password of a PKCS12 trust store."},
	{Key: "ssl.truststore.certificates", Type: Password, Update: PerBroker, PerListener: true, Sensitive: true, Allowed: Allowed{Text: "certificates as PEM"},
		Doc: "The authorities themselves, in place of ssl.truststore.location."},
	{Key: "ssl.client.auth", Type: String, Default: "none", Update: PerBroker, PerListener: true, Allowed: oneOf("none", "requested", "required"),
		Doc: "Whether a client must show a certificate. One that is requested and shown must be good."},
	{Key: "ssl.enabled.protocols", Type: List, Default: "TLSv1.2,TLSv1.3", Update: PerBroker, PerListener: true, Allowed: someOf(1, "TLSv1.2", "TLSv1.3"),
		Doc: "The versions of TLS that are spoken."},
	{Key: "ssl.cipher.suites", Type: List, Update: PerBroker, PerListener: true, Allowed: Allowed{Text: "names of cipher suites, separated by commas, or empty (all that are safe)"},
		Doc: "The cipher suites that may be used with TLS 1.2. Those of TLS 1.3 are not chosen one by one: a list without any of them turns TLS 1.3 off, a list with them alone turns TLS 1.2 off."},
	{Key: "ssl.principal.mapping.rules", Type: String, Default: "DEFAULT", PerListener: true, Allowed: Allowed{Text: "RULE:pattern/replacement/[LU] or DEFAULT, separated by commas"},
		Doc: "How the name of a client is made from the distinguished name of its certificate. The first rule whose pattern takes all of it counts; DEFAULT takes it as it is. Patterns are regular expressions as RE2 has them: they can not look around or refer back."},
	{Key: "ssl.reload.interval.ms", Type: Int, Default: "10000", Allowed: between(10, 3_600_000),
		Doc: "How often the files of keys, certificates, PLAIN users and signing keys are looked at for a change."},
	{Key: "ssl.protocol", Type: String, Default: "TLSv1.3", PerListener: true, NoEffect: true,
		Doc: "See ssl.enabled.protocols."},
	{Key: "ssl.provider", Type: String, PerListener: true, NoEffect: true,
		Doc: "Java's name for an implementation of TLS."},
	{Key: "ssl.endpoint.identification.algorithm", Type: String, Default: "https", PerListener: true, NoEffect: true,
		Doc: "What a client checks a broker's certificate for. Brokers talk to each other on rpc.listener, not on these listeners."},
	{Key: "ssl.keymanager.algorithm", Type: String, Default: "SunX509", PerListener: true, NoEffect: true, Doc: "A name of Java's."},
	{Key: "ssl.trustmanager.algorithm", Type: String, Default: "PKIX", PerListener: true, NoEffect: true, Doc: "A name of Java's."},
	{Key: "ssl.secure.random.implementation", Type: String, PerListener: true, NoEffect: true, Doc: "A name of Java's."},
	{Key: "ssl.allow.dn.changes", Type: Bool, Default: "false", PerListener: true, NoEffect: true,
		Doc: "A certificate may always be replaced by one of another name."},
	{Key: "ssl.allow.san.changes", Type: Bool, Default: "false", PerListener: true, NoEffect: true,
		Doc: "A certificate may always be replaced by one for other hosts."},
	{Key: "principal.builder.class", Type: Class, Default: principalBuilder, PerListener: true, Allowed: oneOf(principalBuilder), NoEffect: true,
		Doc: "Names are made as Kafka's own builder makes them; there is no other."},
}

var authenticationSettings = []Setting{
	{Key: "sasl.enabled.mechanisms", Type: List, Update: PerBroker, PerListener: true, Allowed: someOf(0, mechanisms...),
		Doc: "The mechanisms by which clients of SASL_PLAINTEXT and SASL_SSL listeners prove who they are; such a listener needs at least one."},
	{Key: "sasl.jaas.config", Type: Password, Update: PerBroker, PerListener: true, PerMechanism: true, Sensitive: true,
		Allowed: Allowed{Text: "LoginModule required option=\"value\" …;"},
		Doc:     "Kafka's way to name the users of PLAIN: listener.name.<name>.plain.sasl.jaas.config with an option user_<name>=\"<password>\" for each. For other mechanisms it is accepted and has no effect."},
	{Key: "sasl.plain.users.file", Type: String, Update: PerBroker, PerListener: true, Allowed: Allowed{Text: "a file"},
		Doc: "Users of PLAIN, one on a line: the name, a colon, and the password or what stands for it: $pbkdf2-sha256$<iterations>$<salt>$<hash>, the last two in base64. The file is looked at every ssl.reload.interval.ms."},
	{Key: "connections.max.reauth.ms", Type: Long, Default: "0", PerListener: true, PerMechanism: true, Allowed: atLeast(0),
		Doc: "A client must prove anew who it is after so long, and is disconnected if it does not; 0 is never, but that a token ends with its own time."},
	{Key: "connection.failed.authentication.delay.ms", Type: Int, Default: "100", Allowed: between(0, 60_000),
		Doc: "A client that failed to prove who it is hears so after this time, and is disconnected."},
	{Key: "sasl.oauthbearer.jwks.endpoint.url", Type: String, Update: PerBroker, PerListener: true, PerMechanism: true, Allowed: orEmpty(parsed("a URL that begins with https://, http:// or file://", jwksURL), "no OAUTHBEARER"),
		Doc: "Where the keys are that tokens are signed with (JWKS)."},
	{Key: "sasl.oauthbearer.jwks.endpoint.refresh.ms", Type: Long, Default: "3600000", PerListener: true, PerMechanism: true, Allowed: between(1000, 30*86400*1000),
		Doc: "How often the keys are fetched again. A token that names a key which is not known has them fetched at once, but not more often than sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms."},
	{Key: "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Type: Long, Default: "100", PerListener: true, PerMechanism: true, Allowed: between(1, 3_600_000),
		Doc: "The first wait after the keys could not be fetched; each further one is twice as long."},
	{Key: "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Type: Long, Default: "10000", PerListener: true, PerMechanism: true, Allowed: between(1, 3_600_000),
		Doc: "The longest wait between two attempts to fetch the keys."},
	{Key: "sasl.oauthbearer.expected.audience", Type: List, Update: PerBroker, PerListener: true, PerMechanism: true,
		Doc: "A token must be meant for one of these (aud); empty asks for nothing."},
	{Key: "sasl.oauthbearer.expected.issuer", Type: String, Update: PerBroker, PerListener: true, PerMechanism: true,
		Doc: "Who must have issued a token (iss); empty asks for nothing."},
	{Key: "sasl.oauthbearer.clock.skew.seconds", Type: Int, Default: "30", PerListener: true, PerMechanism: true, Allowed: between(0, 3600),
		Doc: "By how much the clocks of issuer and broker may differ."},
	{Key: "sasl.oauthbearer.scope.claim.name", Type: String, Default: "scope", PerListener: true, PerMechanism: true,
		Doc: "The claim of a token that has its scopes."},
	{Key: "sasl.oauthbearer.sub.claim.name", Type: String, Default: "sub", PerListener: true, PerMechanism: true,
		Doc: "The claim of a token that has the name of the user."},
	{Key: "sasl.oauthbearer.groups.claim.name", Type: String, Default: "groups", PerListener: true, PerMechanism: true,
		Doc: "The claim of a token that has the groups of the user, a list of names or one name; empty for none. Roles may be given to groups."},
	{Key: "sasl.server.callback.handler.class", Type: Class, PerListener: true, PerMechanism: true, NoEffect: true, Allowed: orEmpty(oneOf(tokenValidator, tokenValidator3), "the same"),
		Doc: "Tokens are judged as this class of Kafka's does. Other classes are refused."},
	{Key: "sasl.mechanism.inter.broker.protocol", Type: String, Default: "GSSAPI", NoEffect: true,
		Doc: "Brokers talk to each other on rpc.listener."},
}

// jwksURL checks where signing keys are to come from.
func jwksURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("not a URL: %w", err)
	}
	switch {
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("user or fragment in a URL")
	case u.Scheme == "file" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
	case (u.Scheme == "https" || u.Scheme == "http") && u.Host != "":
	default:
		return nil, fmt.Errorf("not a URL of a file or of HTTP")
	}
	return u, nil
}

// isMechanism reports whether the lower-case name is that of a SASL mechanism.
func isMechanism(lower string) bool {
	return slices.ContainsFunc(mechanisms, func(m string) bool { return strings.ToLower(m) == lower })
}
