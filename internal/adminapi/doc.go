// Package adminapi is the JSON of the broker's admin API over HTTP, shared by the
// broker, which writes it, and cmd/tideline, which reads it.
//
//	GET /v1/tier/status   one TierStatus
//	GET /v1/tier/verify   VerifyEvent as JSON lines, as the work goes on; the
//	                      last has Done set
//
//	GET    /v1/brokers                     Brokers
//	POST   /v1/brokers/{id}/decommission   sends its replicas away and, once it is
//	                                       empty and stopped, forgets it; to be
//	                                       repeated: Decommission
//	DELETE /v1/brokers/{id}/decommission   calls that off: Decommission
//	POST   /v1/partitions/rebalance        of a RebalanceRequest: Rebalance
//
//	GET    /v1/roles                       Roles
//	GET    /v1/roles/{name}                Role
//	PUT    /v1/roles/{name}                of a Role, which is made or gets these
//	                                       bindings: Role
//	DELETE /v1/roles/{name}                removes it and all grants of it: Role
//	POST   /v1/roles/{name}/grants         of a GrantRequest: Role
//
// Without http.users nobody knows who asks. Then roles are shown and changed only for
// whoever asks from the broker's own machine, whatever http.listener is.
//
// With ?topic=NAME, which may be given again, the first two are about these topics only.
//
// A failed request is answered with a status of 4xx or 5xx and an Error. A failure
// after the first line is a line with Failure and Done set. Fields are only ever
// added; readers pass over those that they do not know. The package holds types
// and nothing else.
package adminapi
