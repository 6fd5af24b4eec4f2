package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// scramBytes is what one user takes in an answer, decoded and encoded.
const scramBytes = 1 << 10

func allScram(m *metadata.Image) int64 { return int64(m.ScramCount()) * scramBytes }

// describeUserScramCredentials answers DescribeUserScramCredentials (KIP-554): which
// mechanisms users have, and with how many iterations; never a salt or a key.
func describeUserScramCredentials(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeUserSCRAMCredentialsRequest)
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	users := make([]string, 0, len(req.Users))
	for i := range req.Users {
		users = append(users, req.Users[i].Name)
	}
	for _, d := range controller.DescribeScram(c.API.Metadata.Image(), users) {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User, r.ErrorCode, r.ErrorMessage = d.User, errorCode(d.Err), message(d.Err)
		for _, x := range d.Credentials {
			info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
			info.Mechanism, info.Iterations = int8(x.Mechanism), x.Iterations
			r.CredentialInfos = append(r.CredentialInfos, info)
		}
		resp.Results = append(resp.Results, r)
	}
	return resp
}
