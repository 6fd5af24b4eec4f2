# What `make terraform` applies the first example with: everything that can be chosen.
name          = "orders"
bucket_name   = "tideline-check-orders"
force_destroy = true
versioning    = true
kms_key_id    = "create"
node_count    = 4
client_cidrs  = ["10.0.0.0/8"]
access        = { kind = "nlb", internal = false, allowed_cidrs = ["192.0.2.0/24"] }
telemetry     = { otlp_endpoint = "http://collector.example.com:4318", scrape_cidrs = ["10.42.0.9/32"] }
settings      = { "tier.roll.ms" = "30000" }
tls           = { keystore = "ssm:/tideline/orders/broker-{node}", truststore = "secretsmanager:orders-clients", client_auth = "required" }
package       = { url = "https://example.com/tideline_1.0.0_amd64.deb", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
