package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// incrementalAlterConfigs answers IncrementalAlterConfigs (KIP-339) for topics,
// brokers and groups. Each resource is changed as a whole or not at all.
func incrementalAlterConfigs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.IncrementalAlterConfigsRequest)
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	seen := make(map[resourceName]int, len(req.Resources))
	for i := range req.Resources {
		r := &req.Resources[i]
		seen[resourceName{r.ResourceType, r.ResourceName}]++
	}
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		err := error(nil)
		if seen[resourceName{r.ResourceType, r.ResourceName}] > 1 {
			err = fmt.Errorf("%w: each resource must appear at most once", kerr.InvalidRequest)
		} else {
			err = c.API.alterConfigs(c.Context, r, req.ValidateOnly)
		}
		rr.ErrorCode, rr.ErrorMessage = errorCode(err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

type resourceName struct {
	kind kmsg.ConfigResourceType
	name string
}

func (a *API) alterConfigs(ctx context.Context, r *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		return a.alterTopic(ctx, r, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		return a.alterBroker(ctx, r, validateOnly)
	case kmsg.ConfigResourceTypeGroupConfig:
		return a.alterGroup(ctx, r, validateOnly)
	default:
		return fmt.Errorf("%w: resource type=%d", kerr.InvalidRequest, r.ResourceType)
	}
}

func (a *API) alterTopic(ctx context.Context, r *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	image := a.Metadata.Image()
	t, ok := image.Topic(r.ResourceName)
	switch {
	case ok:
	case r.ResourceName == "":
		return fmt.Errorf("%w: settings of all topics together are those of the broker", kerr.InvalidRequest)
	case !validTopicName(r.ResourceName):
		return fmt.Errorf("%w: topic=%q", kerr.InvalidTopicException, r.ResourceName)
	default:
		return fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, r.ResourceName)
	}
	ops, err := configOps(r.Configs, isTopicList)
	if err != nil {
		return err
	}
	defaults := a.Config.TopicEntries(nil)
	cmd, err := controller.TopicConfig(image, t.ID, ops, func(key string) string { return valueOf(defaults, key) })
	if err != nil {
		return err
	}
	after, err := t.Configs.Apply(cmd.Changes)
	if err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	if err := a.Config.ValidateTopic(after.Map()); err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	if validateOnly {
		return nil
	}
	_, err = a.Metadata.Propose(ctx, cmd)
	return err
}

func (a *API) alterBroker(ctx context.Context, r *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	id, err := a.brokerOf(r.ResourceName)
	if err != nil {
		return err
	}
	ops, err := configOps(r.Configs, isBrokerList)
	if err != nil {
		return err
	}
	defaults := a.Config.Entries()
	cmd, err := controller.BrokerConfig(a.Metadata.Image(), id, ops, func(key string) string { return valueOf(defaults, key) })
	if err != nil {
		return err
	}
	for _, ch := range cmd.Changes {
		if ch.Delete {
			continue
		}
		if err := config.ValidateDynamic(ch.Key, ch.Value, id != command.DefaultBroker); err != nil {
			return fmt.Errorf("%w: %w", kerr.InvalidRequest, err)
		}
	}
	if validateOnly {
		return nil
	}
	_, err = a.Metadata.Propose(ctx, cmd)
	return err
}

// alterGroup changes settings of a consumer group, which need not be there.
func (a *API) alterGroup(ctx context.Context, r *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	if r.ResourceName == "" {
		return fmt.Errorf("%w: group name must not be empty", kerr.InvalidRequest)
	}
	ops, err := configOps(r.Configs, isGroupList)
	if err != nil {
		return err
	}
	effective, err := a.effective()
	if err != nil {
		return err
	}
	image, defaults := a.Metadata.Image(), effective.GroupEntries(nil)
	cmd, err := controller.GroupConfig(image, r.ResourceName, ops, func(key string) string { return valueOf(defaults, key) })
	if err != nil {
		return err
	}
	after, err := image.GroupConfigs(r.ResourceName).Apply(cmd.Changes)
	if err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	if err := effective.ValidateGroup(after.Map()); err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	if validateOnly {
		return nil
	}
	_, err = a.Metadata.Propose(ctx, cmd)
	return err
}

func valueOf(entries []config.Entry, key string) string {
	for i := range entries {
		if entries[i].Name == key {
			return entries[i].Value
		}
	}
	return ""
}

func isTopicList(key string) bool {
	s, ok := config.LookupTopic(key)
	return ok && s.Type == config.List
}

func isGroupList(key string) bool {
	s, ok := config.LookupGroup(key)
	return ok && s.Type == config.List
}

func isBrokerList(key string) bool {
	s, ok := config.LookupBroker(key)
	return ok && s.Type == config.List
}

// configOps checks the operations of a resource.
func configOps(asked []kmsg.IncrementalAlterConfigsRequestResourceConfig, isList func(string) bool) ([]controller.ConfigOp, error) {
	ops := make([]controller.ConfigOp, 0, len(asked))
	for _, op := range asked {
		c := controller.ConfigOp{Key: op.Name, Kind: controller.OpKind(op.Op)}
		switch {
		case c.Kind != controller.OpDelete && op.Value == nil:
			return nil, fmt.Errorf("%w: null value not supported for %s", kerr.InvalidRequest, op.Name)
		case c.Kind != controller.OpDelete:
			c.Value = *op.Value
		}
		if (c.Kind == controller.OpAppend || c.Kind == controller.OpSubtract) && !isList(op.Name) {
			return nil, fmt.Errorf("%w: append and subtract are for lists, and %s is not one", kerr.InvalidConfig, op.Name)
		}
		ops = append(ops, c)
	}
	return ops, nil
}
