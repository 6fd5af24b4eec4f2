# Plans against a mocked provider that has the real one's schema: `make terraform-schema`.
# They tell that the module fits together, not that the cloud takes it.

mock_provider "google" {
  mock_data "google_compute_zones" {
    defaults = {
      names = ["europe-west4-a", "europe-west4-b", "europe-west4-c"]
    }
  }
}

variables {
  name             = "orders"
  project          = "example-project"
  region           = "europe-west4"
  object_store_url = "s3://orders/tideline?endpoint=https://minio.example.com"
  package = {
    url    = "https://example.com/tideline_1.0.0_amd64.deb"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
  }
}

run "three_brokers_in_three_zones" {
  command = plan

  assert {
    condition     = [for k in ["1", "2", "3"] : google_compute_instance.node[k].zone] == ["europe-west4-a", "europe-west4-b", "europe-west4-c"]
    error_message = "The brokers do not take turns over the zones."
  }
  assert {
    condition     = alltrue([for k, i in google_compute_instance.node : length(i.network_interface[0].access_config) == 0])
    error_message = "A machine has an address of the outside."
  }
  assert {
    condition     = output.bootstrap_servers == ["b1.orders.internal:9092", "b2.orders.internal:9092", "b3.orders.internal:9092"]
    error_message = "Clients are told other names."
  }
  assert {
    condition     = length(google_storage_bucket.this) == 0 && length(google_storage_hmac_key.this) == 0
    error_message = "With an object store of its own the cluster needs no bucket."
  }
  assert {
    condition     = length(google_compute_firewall.scrape) == 0 && length(google_compute_firewall.client_cidrs) == 0
    error_message = "Nobody was let in, and somebody may come."
  }
}

run "a_local_disk" {
  command = plan

  variables {
    instance_type = "c4-standard-4-lssd"
    wal_disk      = { type = "local" }
  }

  assert {
    condition     = length(google_compute_disk.wal) == 0 && alltrue([for k, i in google_compute_instance.node : length(i.attached_disk) == 0])
    error_message = "A machine with a disk of its own has another one."
  }
}

run "cloud_storage" {
  command = plan

  variables {
    object_store_url       = ""
    cloud_storage_untested = true
    bucket                 = { name = "example-orders", versioning = true, kms_key_id = "create" }
  }

  assert {
    condition     = output.object_store == "s3://example-orders/orders?endpoint=https://storage.googleapis.com&region=auto&path_style=true"
    error_message = "The brokers are told another object store."
  }
  assert {
    condition     = google_storage_bucket.this[0].public_access_prevention == "enforced" && one(one(google_storage_bucket.this[0].lifecycle_rule).condition).days_since_noncurrent_time == 7
    error_message = "The bucket is not as it was asked for."
  }
  assert {
    condition     = strcontains(google_storage_bucket_iam_member.objects[0].condition[0].expression, "/objects/orders/")
    error_message = "The brokers may write beside their prefix."
  }
}

run "cloud_storage_only_knowingly" {
  command = plan

  variables {
    object_store_url = ""
    bucket           = { name = "example-orders" }
  }

  expect_failures = [var.cloud_storage_untested]
}

run "a_given_network" {
  command = plan

  variables {
    zones        = ["europe-west4-a", "europe-west4-b"]
    network      = { create = false, vpc_id = "projects/p/global/networks/n", subnet_ids = ["projects/p/regions/europe-west4/subnetworks/s"] }
    client_cidrs = ["10.0.0.0/8"]
    telemetry    = { scrape_cidrs = ["10.1.2.3/32"] }
  }

  assert {
    condition     = length(google_compute_network.this) == 0 && length(google_compute_router.this) == 0
    error_message = "A network is made although one was given."
  }
  assert {
    condition     = google_compute_firewall.scrape[0].source_ranges == toset(["10.1.2.3/32"])
    error_message = "Others than Prometheus reach the port of metrics."
  }
}

run "what_is_refused" {
  command = plan

  variables {
    node_count = 2
    zones      = ["europe-west4-a", "us-east1-b"]
    bucket     = { name = "example-orders", object_lock_days = 30 }
    wal_disk   = { type = "pd-standard" }
  }

  expect_failures = [var.node_count, var.zones, var.bucket, var.wal_disk]
}

# Last: what it leaves is the state of runs after it.
run "user_data" {
  command = apply

  variables {
    secrets = {
      "env:AWS_ACCESS_KEY_ID"     = "gcp:projects/example-project/secrets/store-key/versions/latest"
      "env:AWS_SECRET_ACCESS_KEY" = "gcp:projects/example-project/secrets/store-secret/versions/latest"
    }
    tls   = { keystore = "gcp:projects/example-project/secrets/broker-{node}/versions/latest" }
    peers = { west = ["b1.west.internal:9092"] }
  }

  assert {
    condition     = yamldecode(output.user_data["2"]).hostname == "orders-2"
    error_message = "The machine has another name."
  }
  assert {
    condition     = contains(keys(google_secret_manager_secret_iam_member.node), "projects/example-project/secrets/broker-3") && length(google_secret_manager_secret_iam_member.node) == 5
    error_message = "The brokers cannot read exactly their secrets."
  }
  assert {
    condition     = alltrue([for k, d in output.user_data : yamldecode([for f in yamldecode(d).write_files : f.content if f.path == "/etc/tideline/tideline.yaml"][0])["object.store"] == "s3://orders/tideline?endpoint=https://minio.example.com"])
    error_message = "The brokers are told another object store."
  }
  assert {
    condition     = output.nodes_to_replace == []
    error_message = "New machines are said to be old."
  }
}
