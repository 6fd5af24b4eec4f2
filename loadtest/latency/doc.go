// Package latency counts durations and tells their percentiles, for whatever puts load on a broker: the benchmark, the history
// checker. Memory is fixed, however many are counted. It refuses nothing: what is longer than nine hours counts as nine hours,
// with its true maximum kept.
package latency
