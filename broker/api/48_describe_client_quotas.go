package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// quotaBytes is what one entity with its quotas takes in an answer, decoded and encoded.
const quotaBytes = 1 << 10

func allQuotas(m *metadata.Image) int64 { return int64(m.QuotaCount()) * quotaBytes }

// describeClientQuotas answers DescribeClientQuotas (KIP-546).
func describeClientQuotas(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeClientQuotasRequest)
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	filters := make([]controller.QuotaFilter, 0, len(req.Components))
	for _, x := range req.Components {
		filters = append(filters, controller.QuotaFilter{Type: x.EntityType, Match: uint8(x.MatchType), Name: x.Match})
	}
	quotas, err := controller.DescribeQuotas(c.API.Metadata.Image(), filters, req.Strict)
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
		return resp // with null for the entries, as in Kafka
	}
	resp.Entries = make([]kmsg.DescribeClientQuotasResponseEntry, 0, len(quotas))
	for i := range quotas {
		e := kmsg.NewDescribeClientQuotasResponseEntry()
		for _, p := range quotas[i].Entity {
			part := kmsg.NewDescribeClientQuotasResponseEntryEntity()
			part.Type, part.Name = p.Type, partName(p)
			e.Entity = append(e.Entity, part)
		}
		for _, v := range quotas[i].Values {
			value := kmsg.NewDescribeClientQuotasResponseEntryValue()
			value.Key, value.Value = v.Key, v.Value
			e.Values = append(e.Values, value)
		}
		resp.Entries = append(resp.Entries, e)
	}
	return resp
}

// partName is the name of a part of an entity as the protocol has it: null for the default.
func partName(p command.QuotaPart) *string {
	if p.Default {
		return nil
	}
	return &p.Name
}
