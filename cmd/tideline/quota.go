package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
)

// quotaCommand is `tideline quota`.
func (p *program) quotaCommand() *cobra.Command {
	return p.group("quota", "List, set and remove the quotas of users, client ids and addresses",
		p.quotaListCommand(), p.quotaSetCommand(), p.quotaRemoveCommand())
}

// quotaEntity is the flags that say whom a quota is for.
type quotaEntity struct {
	flags *pflag.FlagSet
	parts [3]struct {
		kind, name string
		fallback   bool
	}
}

// quotaEntityFlags are --user, --client-id and --ip, each with a form for the default.
func quotaEntityFlags(flags *pflag.FlagSet) *quotaEntity {
	e := &quotaEntity{flags: flags}
	for i, kind := range []string{"client-id", "ip", "user"} {
		part := &e.parts[i]
		part.kind = kind
		flags.StringVar(&part.name, kind, "", "`name` of the "+kind)
		flags.BoolVar(&part.fallback, kind+"-default", false, "every "+kind+" that has no quota of its own")
	}
	return e
}

// entity returns what the flags name. Names that are given empty are the broker's to refuse.
func (e *quotaEntity) entity() (kadm.ClientQuotaEntity, error) {
	var out kadm.ClientQuotaEntity
	for i := range e.parts {
		part := &e.parts[i]
		named := e.flags.Changed(part.kind)
		switch {
		case named && part.fallback:
			return nil, usagef("--%s and --%s-default exclude each other", part.kind, part.kind)
		case named:
			out = append(out, kadm.ClientQuotaEntityComponent{Type: part.kind, Name: &part.name})
		case part.fallback:
			out = append(out, kadm.ClientQuotaEntityComponent{Type: part.kind})
		}
	}
	return out, nil
}

// needed is entity where there must be one.
func (e *quotaEntity) needed() (kadm.ClientQuotaEntity, error) {
	entity, err := e.entity()
	if err == nil && len(entity) == 0 {
		return nil, usagef("whom the quota is for is missing: --user, --client-id, --ip, or one of them with -default")
	}
	return entity, err
}

// describing is the filter that finds what the flags name.
func describing(entity kadm.ClientQuotaEntity) []kadm.DescribeClientQuotaComponent {
	var out []kadm.DescribeClientQuotaComponent
	for _, part := range entity {
		c := kadm.DescribeClientQuotaComponent{Type: part.Type, MatchName: part.Name}
		if part.Name == nil {
			c.MatchType = 1 // the default
		}
		out = append(out, c)
	}
	return out
}

// describedQuota is one entity in the JSON of `quota list`. A null name is the default.
type describedQuota struct {
	Entity map[string]*string `json:"entity"`
	Quotas map[string]float64 `json:"quotas"`
}

func (p *program) quotaListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the quotas that are set",
		Example: "  tideline quota list\n" +
			"  tideline quota list --user alice",
		Args: cobra.NoArgs,
	}
	conn := p.connectionFlags(c.Flags())
	who := quotaEntityFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		entity, err := who.entity()
		if err != nil {
			return err
		}
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			quotas, err := admin.DescribeClientQuotas(ctx, false, describing(entity))
			if err != nil {
				return err
			}
			slices.SortFunc(quotas, func(a, b kadm.DescribedClientQuota) int {
				return strings.Compare(entityText(a.Entity), entityText(b.Entity))
			})
			list := []describedQuota{}
			t := newTable("ENTITY", "QUOTA", "VALUE")
			for _, q := range quotas {
				d := describedQuota{Entity: entityMap(q.Entity), Quotas: map[string]float64{}}
				slices.SortFunc(q.Values, func(a, b kadm.ClientQuotaValue) int { return strings.Compare(a.Key, b.Key) })
				for _, v := range q.Values {
					d.Quotas[v.Key] = v.Value
					t.add(entityText(q.Entity), v.Key, quotaText(v.Value))
				}
				list = append(list, d)
			}
			return p.show(conn.output, list, t)
		})
	})
	return c
}

func entityMap(entity kadm.ClientQuotaEntity) map[string]*string {
	out := map[string]*string{}
	for _, part := range entity {
		out[part.Type] = part.Name
	}
	return out
}

// entityText names an entity as type=name, its parts in the order of their types.
func entityText(entity kadm.ClientQuotaEntity) string {
	texts := make([]string, len(entity))
	for i, part := range entity {
		texts[i] = part.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

func quotaText(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (p *program) quotaSetCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set QUOTA=VALUE…",
		Short: "Set quotas of a user, a client id, both together, or an address",
		Long: "Set quotas of a user, a client id, both together, or an address.\n\n" +
			"Users and client ids have producer_byte_rate and consumer_byte_rate (bytes per second and broker),\n" +
			"request_percentage (of one core) and controller_mutation_rate (partitions per second);\n" +
			"addresses have connection_creation_rate (connections per second).",
		Example: "  tideline quota set --user alice producer_byte_rate=1048576 consumer_byte_rate=2097152\n" +
			"  tideline quota set --user-default --client-id-default request_percentage=50\n" +
			"  tideline quota set --ip 10.0.0.7 connection_creation_rate=10",
		Args: cobra.MinimumNArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	who := quotaEntityFlags(c.Flags())
	dryRun := c.Flags().Bool("validate-only", false, "only check that it could be set")
	c.RunE = p.does(func(ctx context.Context, pairs []string) error {
		var ops []kadm.AlterClientQuotaOp
		for _, pair := range pairs {
			key, text, ok := strings.Cut(pair, "=")
			value, err := strconv.ParseFloat(text, 64)
			if !ok || key == "" || err != nil {
				return usagef("a quota is NAME=NUMBER, got %q", pair)
			}
			ops = append(ops, kadm.AlterClientQuotaOp{Key: key, Value: value})
		}
		entity, err := who.needed()
		if err != nil {
			return err
		}
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			return p.alterQuota(ctx, conn, admin, entity, ops, *dryRun)
		})
	})
	return c
}

// alterQuota changes one entity and shows what it asked for.
func (p *program) alterQuota(ctx context.Context, conn *connection, admin *kadm.Client, entity kadm.ClientQuotaEntity, ops []kadm.AlterClientQuotaOp, dryRun bool) error {
	alter := admin.AlterClientQuotas
	if dryRun {
		alter = admin.ValidateAlterClientQuotas
	}
	answers, err := alter(ctx, []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: ops}})
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Err != nil {
			return answered(entityText(a.Entity), a.Err, a.ErrMessage)
		}
	}
	type altered struct {
		Entity map[string]*string `json:"entity"`
		Quota  string             `json:"quota"`
		Value  *float64           `json:"value"` // null: removed
	}
	list := []altered{}
	t := newTable("ENTITY", "QUOTA", "VALUE")
	for _, op := range ops {
		a := altered{Entity: entityMap(entity), Quota: op.Key}
		value := "removed"
		if !op.Remove {
			a.Value, value = &op.Value, quotaText(op.Value)
		}
		t.add(entityText(entity), op.Key, value)
		list = append(list, a)
	}
	return p.show(conn.output, list, t)
}

func (p *program) quotaRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove [QUOTA…]",
		Short: "Remove quotas of a user, a client id, both together, or an address; all that it has when none is named",
		Example: "  tideline quota remove --user alice producer_byte_rate\n" +
			"  tideline quota remove --user alice --client-id app",
	}
	conn := p.connectionFlags(c.Flags())
	who := quotaEntityFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, keys []string) error {
		entity, err := who.needed()
		if err != nil {
			return err
		}
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			has, err := admin.DescribeClientQuotas(ctx, true, describing(entity))
			if err != nil {
				return err
			}
			var there []string
			for _, q := range has {
				for _, v := range q.Values {
					there = append(there, v.Key)
				}
			}
			slices.Sort(there)
			if len(keys) == 0 {
				keys = there
			}
			var ops []kadm.AlterClientQuotaOp
			for _, key := range keys {
				if !slices.Contains(there, key) {
					return answered(entityText(entity), errNoSuchQuota, key)
				}
				ops = append(ops, kadm.AlterClientQuotaOp{Key: key, Remove: true})
			}
			if len(ops) == 0 {
				return answered(entityText(entity), errNoSuchQuota, "")
			}
			return p.alterQuota(ctx, conn, admin, entity, ops, false)
		})
	})
	return c
}
