package config

// tokenSettings are those of delegation tokens.
var tokenSettings = []Setting{
	{Key: "delegation.token.secret.key", Type: Password, Sensitive: true,
		Doc: "The secret from which the proofs of delegation tokens follow, the same on each broker. Without it there are no delegation tokens. With another one those that were issued are worth nothing."},
	{Key: "delegation.token.max.lifetime.ms", Type: Long, Default: "604800000", Allowed: between(1, maxLong),
		Doc: "How long a delegation token lives at most, however often it is renewed."},
	{Key: "delegation.token.expiry.time.ms", Type: Long, Default: "86400000", Allowed: between(1, maxLong),
		Doc: "How long a delegation token is good for, from its issue or renewal on."},
	{Key: "delegation.token.expiry.check.interval.ms", Type: Long, Default: "3600000", Allowed: between(1, maxLong),
		Doc: "How often the controller removes delegation tokens that have expired."},
}
