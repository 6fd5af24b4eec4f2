// Package faultstore puts faults between a caller and any objstore.Store: the ways in which real object stores fail, by script
// ("the third put under data/ loses its reply") or by chance from a seed.
//
// Rules are asked in the order in which they were added; the first that fires decides, and no other is asked. Whether a
// rule with a probability fires depends on the seed, the rule, the operation, the key and how often that operation was
// called for that key, and on nothing else: goroutines may interleave as they like, the faults stay the same.
//
// All waiting is on timers and ends with the caller's context, so the package works in a testing/synctest bubble.
package faultstore
