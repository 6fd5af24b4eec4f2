# What `make terraform` applies the second example with.
name          = "orders"
bucket_prefix = "tideline-check-orders"
force_destroy = true
package       = { url = "https://example.com/tideline_1.0.0_amd64.deb", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
