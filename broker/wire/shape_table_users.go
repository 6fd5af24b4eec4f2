package wire

// userSchemas are the requests about users: their credentials, quotas and
// delegation tokens.
var userSchemas = []schema{
	{key: 38, min: 1, max: 3, fields: []field{ // CreateDelegationToken
		chars("owner_principal_type").from(3).null(3),
		chars("owner_principal_name").from(3).null(3),
		arrayOf("renewers",
			chars("principal_type"),
			chars("principal_name"),
		),
		i64("max_lifetime_ms"),
	}},
	{key: 39, min: 1, max: 2, fields: []field{ // RenewDelegationToken
		octets("hmac"),
		i64("renew_period_ms"),
	}},
	{key: 40, min: 1, max: 2, fields: []field{ // ExpireDelegationToken
		octets("hmac"),
		i64("expiry_time_period_ms"),
	}},
	{key: 41, min: 1, max: 3, fields: []field{ // DescribeDelegationToken
		arrayOf("owners",
			chars("principal_type"),
			chars("principal_name"),
		).null(0),
	}},
	{key: 48, min: 0, max: 1, fields: []field{ // DescribeClientQuotas
		arrayOf("components",
			chars("entity_type"),
			i8("match_type"),
			chars("match").null(0),
		),
		boolean("strict"),
	}},
	{key: 49, min: 0, max: 1, fields: []field{ // AlterClientQuotas
		arrayOf("entries",
			arrayOf("entity",
				chars("entity_type"),
				chars("entity_name").null(0),
			),
			arrayOf("ops",
				chars("key"),
				f64("value"),
				boolean("remove"),
			),
		),
		boolean("validate_only"),
	}},
	{key: 50, min: 0, max: 0, fields: []field{ // DescribeUserScramCredentials
		arrayOf("users",
			chars("name"),
		).null(0),
	}},
	{key: 51, min: 0, max: 0, fields: []field{ // AlterUserScramCredentials
		arrayOf("deletions",
			chars("name"),
			i8("mechanism"),
		),
		arrayOf("upsertions",
			chars("name"),
			i8("mechanism"),
			i32("iterations"),
			octets("salt"),
			octets("salted_password"),
		),
	}},
}
