// Package adminapi is the JSON of the broker's admin API over HTTP, shared by the
// broker, which writes it, and cmd/tideline, which reads it.
//
//	GET /v1/tier/status   one TierStatus
//	GET /v1/tier/verify   VerifyEvent as JSON lines, as the work goes on; the
//	                      last has Done set
//
// With ?topic=NAME, which may be given again, both are about these topics only.
//
// A failed request is answered with a status of 4xx or 5xx and an Error. A failure
// after the first line is a line with Failure and Done set. Fields are only ever
// added; readers pass over those that they do not know. The package holds types
// and nothing else.
package adminapi
