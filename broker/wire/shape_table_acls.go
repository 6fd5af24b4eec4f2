package wire

// aclSchemas are the requests about access control lists.
var aclSchemas = []schema{
	{key: 29, min: 1, max: 3, fields: aclFilter()}, // DescribeAcls
	{key: 30, min: 1, max: 3, fields: []field{ // CreateAcls
		arrayOf("creations",
			i8("resource_type"),
			chars("resource_name"),
			i8("resource_pattern_type").from(1),
			chars("principal"),
			chars("host"),
			i8("operation"),
			i8("permission_type"),
		),
	}},
	{key: 31, min: 1, max: 3, fields: []field{ // DeleteAcls
		arrayOf("filters", aclFilter()...),
	}},
}

// aclFilter is what selects bindings.
func aclFilter() []field {
	return []field{
		i8("resource_type_filter"),
		chars("resource_name_filter").null(0),
		i8("pattern_type_filter").from(1),
		chars("principal_filter").null(0),
		chars("host_filter").null(0),
		i8("operation"),
		i8("permission_type"),
	}
}
