package api

import "github.com/tidelinehq/tideline/broker/security/acl"

// operations are what the client may do with a resource, as a set of bits by Kafka's
// numbers (KIP-430): all that make sense, where everything is allowed.
func (c *Call) operations(kind acl.ResourceType, name string) int32 {
	if x := c.access(); x != nil {
		return x.client.Operations(kind, name)
	}
	return acl.AllOperations(kind)
}

// clusterOperations are what the client may do with the cluster: nothing, for one that
// may not describe it.
func (c *Call) clusterOperations() int32 {
	if !c.sees(acl.Describe, acl.Cluster, acl.ClusterName) {
		return 0
	}
	return c.operations(acl.Cluster, acl.ClusterName)
}
