package api

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/metadata/record"
)

// describeConfigs answers DescribeConfigs for topics, brokers and groups, each once however
// often it is named: the answer to ten bytes has kilobytes.
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
	if names == nil {
		return func(string) bool { return true }
	}
	set := make(map[string]struct{}, len(names))
	for _, n := range names {
		set[n] = struct{}{}
	}
	return func(n string) bool { _, ok := set[n]; return ok }
}

// configEntries returns the settings of a topic, broker or group.
func (a *API) configEntries(kind kmsg.ConfigResourceType, name string) ([]config.Entry, error) {
	image := a.Metadata.Image()
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		t, ok := image.Topic(name)
		if !ok && !validTopicName(name) {
			return nil, fmt.Errorf("%w: topic=%q", kerr.InvalidTopicException, name)
		}
		if !ok {
			return nil, fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, name)
		}
		return a.Config.TopicEntries(t.Configs.Map()), nil
	case kmsg.ConfigResourceTypeBroker:
		if _, err := a.brokerOf(name); err != nil {
			return nil, err
		}
		own := image.BrokerConfigs(a.Config.NodeID).Map()
		if name == "" {
			own = nil
		}
		effective, err := a.Config.WithDynamic(image.BrokerConfigs(record.DefaultBroker).Map(), own)
		if err != nil {
			return nil, err
		}
		entries := effective.Entries()
		if name != "" {
			return entries, nil
		}
		// The empty name stands for the dynamic defaults of all brokers.
		var defaults []config.Entry
		for _, e := range entries {
			if e.Source == config.SourceDynamicDefaultBroker {
				defaults = append(defaults, e)
			}
		}
		return defaults, nil
	case kmsg.ConfigResourceTypeGroupConfig:
		if name == "" {
			return nil, fmt.Errorf("%w: group name must not be empty", kerr.InvalidRequest)
		}
		effective, err := a.effective()
		if err != nil {
			return nil, err
		}
		return effective.GroupEntries(image.GroupConfigs(name).Map()), nil
	default:
		return nil, fmt.Errorf("%w: resource type=%d", kerr.InvalidRequest, kind)
	}
}

// effective are this broker's settings with the dynamic ones on top.
func (a *API) effective() (*config.Config, error) {
	image := a.Metadata.Image()
	return a.Config.WithDynamic(image.BrokerConfigs(record.DefaultBroker).Map(), image.BrokerConfigs(a.Config.NodeID).Map())
}

// brokerOf parses the name of a broker resource: empty for all brokers, else this
// broker's id, because only the broker itself knows its settings.
func (a *API) brokerOf(name string) (int32, error) {
	if name == "" {
		return record.DefaultBroker, nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: broker id %q is not a number", kerr.InvalidRequest, name)
	}
	if int32(id) != a.Config.NodeID {
		return 0, fmt.Errorf("%w: unexpected broker id, expected %d, but received %d", kerr.InvalidRequest, a.Config.NodeID, id)
	}
	return int32(id), nil
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
	if req.IncludeDocumentation {
		rc.Documentation = &e.Setting.Doc
	}
	if req.IncludeSynonyms {
		for i := range e.Synonyms {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Value, s.Source = e.Synonyms[i].Name, &e.Synonyms[i].Value, kmsg.ConfigSource(e.Synonyms[i].Source)
			rc.ConfigSynonyms = append(rc.ConfigSynonyms, s)
		}
	}
	return rc
}
