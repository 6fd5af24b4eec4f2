// Command kube applies the chart to a real API server and watches what becomes of it. It is
// what `make kube` runs.
//
// A whole control plane runs on loopback addresses: etcd, kube-apiserver with its admission,
// kube-controller-manager, kube-scheduler, and Helm beside it, as scripts/kube.sh builds them. There are no
// machines. Six nodes in three zones are objects alone, and this program plays their
// kubelets: it says that a pod runs and is ready, and that one that was to end is gone. So no
// broker runs here, and it is known at every moment which pod became ready when, and why.
//
// # What it sees
//
//   - Pods are admitted where the namespace enforces the restricted profile of pod security.
//   - Brokers are in three zones, and wait rather than gather in one, on machines of their own, with disks that stay in their
//     zone, and have the label from which they know their rack.
//   - While one is away, a second one can not be evicted.
//   - A rolling update takes one after the other, the highest first, and none while another
//     is not ready; one broker more restarts nobody.
//   - An upgrade that asks for the cluster's health before stops there when something is wrong.
//   - With a StatefulSet for each zone, only the zone whose turn it is restarts.
//   - What is uninstalled leaves nothing but the claims, and not these either where they are
//     to go.
//
// It is a module of its own, so that those who only check do not build it.
//
// What it can not see: whether probes are true, whether a network policy holds, whether a
// load balancer comes. That takes machines.
package main
