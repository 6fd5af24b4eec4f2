package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// alterClientQuotas answers AlterClientQuotas (KIP-546): each entity changes as a whole or
// not at all.
func alterClientQuotas(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AlterClientQuotasRequest)
	asked := make([]controller.QuotaAlteration, 0, len(req.Entries))
	for i := range req.Entries {
		asked = append(asked, quotaAlteration(&req.Entries[i]))
	}
	cmd, results := controller.AlterQuotas(c.API.Metadata.Image(), asked)
	var failed error
	if cmd != nil && !req.ValidateOnly {
		failed = proposeAll(c.Context, c.API.Metadata, command.ChunkQuotas(cmd))
	}
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	resp.Entries = make([]kmsg.AlterClientQuotasResponseEntry, 0, len(results))
	for _, r := range results {
		e := kmsg.NewAlterClientQuotasResponseEntry()
		err := r.Err
		if err == nil {
			err = failed
		}
		e.ErrorCode, e.ErrorMessage = errorCode(err), message(err)
		for _, p := range r.Entity {
			part := kmsg.NewAlterClientQuotasResponseEntryEntity()
			part.Type, part.Name = p.Type, partName(p)
			e.Entity = append(e.Entity, part)
		}
		resp.Entries = append(resp.Entries, e)
	}
	return resp
}

// quotaAlteration is what is asked for one entity. Of a type that it names twice the last
// name counts, as in Kafka.
func quotaAlteration(e *kmsg.AlterClientQuotasRequestEntry) controller.QuotaAlteration {
	var a controller.QuotaAlteration
	at := make(map[string]int, len(e.Entity))
	for _, p := range e.Entity {
		part := command.QuotaPart{Type: p.Type, Default: p.Name == nil}
		if p.Name != nil {
			part.Name = *p.Name
		}
		if i, twice := at[p.Type]; twice {
			a.Entity[i] = part
			continue
		}
		at[p.Type] = len(a.Entity)
		a.Entity = append(a.Entity, part)
	}
	for _, op := range e.Ops {
		a.Ops = append(a.Ops, controller.QuotaOp{Key: op.Key, Value: op.Value, Remove: op.Remove})
	}
	return a
}

// proposeAll proposes commands in order, until one fails.
func proposeAll[C command.Command](ctx context.Context, m Metadata, list []C) error {
	for _, cmd := range list {
		if _, err := m.Propose(ctx, cmd); err != nil {
			return err
		}
	}
	return nil
}
