// Package assignor works out which member of a group should have which partitions:
// pure functions of who the members are, what they subscribe to and what they had
// before. Ties are broken by ids, so that the same input gives the same assignment.
//
//	uniform   as many partitions for each as for the others, as few moves as that allows
//	range     of each topic a contiguous range, the same members in the same order for all
//
// Each partition of a topic that somebody subscribes to has exactly one owner, who
// subscribes to it. Racks are not looked at, as in Apache Kafka from 4.0 on.
//
// Everything may be called concurrently; nothing of the input is changed.
package assignor
