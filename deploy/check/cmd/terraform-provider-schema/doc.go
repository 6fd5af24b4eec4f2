// Command terraform-provider-schema stands in for providers that cannot be had, as far as their schema goes:
//
//	terraform-provider-schema install -mirror DIR -typings DIR MODULE...
//
// takes the schema of what the modules use out of the typings (see package schema: one archive cdktf-provider-NAME-*.tgz each),
// writes it into a file-system mirror, and puts itself beside it. Terraform then runs it as that provider: it answers questions about the
// schema, and nothing else. That is what `terraform validate` needs, and `terraform test` with mock_provider.
package main
