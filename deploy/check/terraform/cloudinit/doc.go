// Package cloudinit renders terraform/modules/cloudinit without Terraform, and its tests hold
// what comes out against those who will read it: cloud-init, systemd, and the broker.
//
// A module without resources is a function of its variables: variables with their types, defaults and
// rules, locals that depend on each other, outputs. That much of the language, with the functions that the
// module uses, is evaluated here on HashiCorp's own libraries; anything else is an error, so that the module
// cannot come to use what these tests do not see.
//
// The limits of clouds and the schema of cloud-init are looked at by `make terraform`, which has Terraform.
package cloudinit
