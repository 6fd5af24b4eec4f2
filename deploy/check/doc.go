// Package check and the packages below it hold the files of deploy/ and terraform/
// against what will read them: Prometheus, Kubernetes, Compose, cloud-init, Terraform.
//
// It is a module of its own, so that the libraries of these never come near the
// product's go.mod. Its programs, in cmd, serve checks and write tables; none is released.
package check
