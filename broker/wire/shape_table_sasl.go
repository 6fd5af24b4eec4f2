package wire

// saslSchemas are the requests by which clients prove who they are.
var saslSchemas = []schema{
	{key: 17, min: 0, max: 1, fields: []field{ // SaslHandshake
		chars("mechanism"),
	}},
	{key: 36, min: 0, max: 2, fields: []field{ // SaslAuthenticate
		octets("auth_bytes"),
	}},
}
