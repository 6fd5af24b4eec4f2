package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// alterUserScramCredentials answers AlterUserScramCredentials (KIP-554), user by user. A
// client sends a salted password; what is kept are the keys that follow from it.
func alterUserScramCredentials(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AlterUserSCRAMCredentialsRequest)
	deletions := make([]command.ScramName, 0, len(req.Deletions))
	for i := range req.Deletions {
		d := &req.Deletions[i]
		deletions = append(deletions, command.ScramName{User: d.Name, Mechanism: uint8(d.Mechanism)})
	}
	upserts := make([]controller.ScramUpsert, 0, len(req.Upsertions))
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		upserts = append(upserts, controller.ScramUpsert{User: u.Name, Mechanism: uint8(u.Mechanism), Iterations: u.Iterations, Salt: u.Salt, SaltedPassword: u.SaltedPassword})
	}
	cmd, results := controller.AlterScram(c.API.Metadata.Image(), deletions, upserts)
	var failed error
	if cmd != nil {
		failed = proposeAll(c.Context, c.API.Metadata, command.ChunkScram(cmd))
	}
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	for _, x := range results {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		err := x.Err
		if err == nil {
			err = failed
		}
		r.User, r.ErrorCode, r.ErrorMessage = x.User, errorCode(err), message(err)
		resp.Results = append(resp.Results, r)
	}
	return resp
}
