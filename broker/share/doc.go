// Package share is the leader's side of share groups (KIP-932): for each group and
// partition that this broker leads, which records are with which member, how often
// each was delivered, and which are done.
//
// What must survive is kept by a Persister, which is the share coordinator of the group
// and partition.
package share
