// Package prometheus holds deploy/prometheus and deploy/grafana against Prometheus' own library, and against what a broker
// has: docs/operations/metrics.md, which a test of the broker keeps true.
//
// Rules and expressions parse; each metric that they name, and each label, exists; an alert fires on the series that it is for and is quiet on
// those that it is not for; each alert has its page, each page its alert, and the commands and metrics that pages name exist. It is all tests.
//
// It is a module of its own: Prometheus' library wants other versions of much that Helm and Terraform want, too.
package prometheus
