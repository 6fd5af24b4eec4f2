// Package helm holds the chart in deploy/helm/tideline against what will read it: Helm's
// own engine and linter, the types of Kubernetes' API, and Tideline's own settings.
//
// Nothing here asks a server. What only a server can say (admission, scheduling, the order
// of a rolling update) is not looked at.
//
// # What is checked
//
// Each file of testdata is the values of one way to install the chart. All that comes of it
// is decoded by the types that the API server has, and a field that they do not know is an
// error. The file of each broker is loaded by broker/config, together with the environment
// of its container. Values that make no sense are refused, with words that help.
//
// The table of values in the chart's README is made of its schema and its defaults; -rewrite
// writes it, and copies alerts and dashboards into the chart.
package helm
