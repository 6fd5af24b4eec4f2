package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
)

// describeConfigs answers DescribeConfigs. Each resource is described once however often it is
// named: the answer to ten bytes has kilobytes.
func describeConfigs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	seen := make(map[resourceName]bool, len(req.Resources))
	for _, r := range req.Resources {
		name := resourceName{r.ResourceType, r.ResourceName}
		if seen[name] {
			continue
		}
		seen[name] = true
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		entries, err := c.API.configEntries(r.ResourceType, r.ResourceName)
		if err != nil {
			rr.ErrorCode, rr.ErrorMessage = errorCode(err), message(err)
		}
		wanted := nameFilter(r.ConfigNames)
		for i := range entries {
			if e := &entries[i]; wanted(e.Name) {
				rr.Configs = append(rr.Configs, describeConfig(e, r.ResourceType, req))
			}
		}
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// nameFilter returns whether a name was asked for; no names mean all.
func nameFilter(names []string) func(string) bool {
	if len(names) == 0 {
		return func(string) bool { return true }
	}
	set := make(map[string]struct{}, len(names))
	for _, n := range names {
		set[n] = struct{}{}
	}
	return func(n string) bool { _, ok := set[n]; return ok }
}

// configEntries returns the settings of a resource.
func (a *API) configEntries(kind kmsg.ConfigResourceType, name string) ([]config.Entry, error) {
	r := configResources[kind]
	if r == nil {
		return nil, fmt.Errorf("%w: resource type=%d", kerr.InvalidRequest, kind)
	}
	return r.describe(a, name)
}

func describeConfig(e *config.Entry, kind kmsg.ConfigResourceType, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	rc := kmsg.NewDescribeConfigsResponseResourceConfig()
	rc.Name, rc.IsSensitive = e.Name, e.Setting.Sensitive
	if !e.Null {
		rc.Value = &e.Value
	}
	rc.Source, rc.IsDefault = kmsg.ConfigSource(e.Source), e.Source == config.SourceDefault
	rc.ReadOnly = kind == kmsg.ConfigResourceTypeBroker && e.Setting.Update == config.ReadOnly
	rc.ConfigType = kmsg.ConfigType(e.Setting.Type)
	if req.IncludeDocumentation && e.Setting.Doc != "" {
		rc.Documentation = &e.Setting.Doc
	}
	if req.IncludeSynonyms {
		for i := range e.Synonyms {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Source = e.Synonyms[i].Name, kmsg.ConfigSource(e.Synonyms[i].Source)
			if !e.Setting.Sensitive {
				s.Value = &e.Synonyms[i].Value
			}
			rc.ConfigSynonyms = append(rc.ConfigSynonyms, s)
		}
	}
	return rc
}
