package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const healthHelp = `Say whether anything in the cluster needs attention, and what to do about it.

Status 1 when there is no controller, fewer brokers vote on the metadata than
could, a broker is fenced, or a partition has no leader, an offline replica, fewer
replicas in sync than min.insync.replicas, or fewer than it has.`

func (p *program) clusterHealthCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "health",
		Short: "Say whether anything needs attention; status 1 when something does",
		Long:  healthHelp,
		Args:  cobra.NoArgs,
	}
	conn := p.connectionFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		return conn.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
			v, err := lookAt(ctx, client, conn.adminOf(client))
			if err != nil {
				return err
			}
			return p.showHealth(conn.output, v, v.problems())
		})
	})
	return c
}

// view is what the health of a cluster is judged by.
type view struct {
	cluster *kmsg.DescribeClusterResponse
	voters  []int32 // of the metadata; nil when nobody could say
	topics  kadm.TopicDetails
	adding  map[string]map[int32][]int32 // replicas on their way, by topic and partition
	minISR  map[string]int
}

// minISRKey is the setting below which acks=all is refused.
const minISRKey = "min.insync.replicas"

// healthTopics is of how many topics the settings are asked for at once.
const healthTopics = 500

func lookAt(ctx context.Context, client *kgo.Client, admin *kadm.Client) (*view, error) {
	v := &view{minISR: map[string]int{}, adding: map[string]map[int32][]int32{}}
	var err error
	if v.cluster, err = describeCluster(ctx, client); err != nil {
		return nil, err
	}
	if v.voters, err = voters(ctx, client); err != nil {
		return nil, err
	}
	if v.topics, err = admin.ListTopicsWithInternal(ctx); err != nil {
		return nil, err
	}
	moving, err := reassignments(ctx, client, nil)
	if err != nil {
		return nil, err
	}
	for _, m := range moving {
		if v.adding[m.topic] == nil {
			v.adding[m.topic] = map[int32][]int32{}
		}
		v.adding[m.topic][m.Partition] = m.AddingReplicas
	}
	for names := range slices.Chunk(v.topics.Names(), healthTopics) {
		req := kmsg.NewPtrDescribeConfigsRequest()
		for _, name := range names {
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, name, []string{minISRKey}
			req.Resources = append(req.Resources, r)
		}
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return nil, err
		}
		for _, r := range resp.Resources {
			for _, c := range r.Configs {
				if n, err := strconv.Atoi(fromPointer(c.Value)); err == nil && c.Name == minISRKey {
					v.minISR[r.ResourceName] = n
				}
			}
		}
	}
	return v, nil
}

// voters asks who votes on the metadata. Without a controller nobody can say, and not every cluster
// that speaks Kafka's protocol does.
func voters(ctx context.Context, client *kgo.Client) ([]int32, error) {
	known, err := kadm.NewClient(client).ApiVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask what the brokers can do: %w", err)
	}
	for _, b := range known.Sorted() {
		if _, _, ok := b.KeyVersions(kmsg.DescribeQuorum.Int16()); b.Err == nil && !ok {
			return nil, nil
		}
	}
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("ask for the voters: %w", err)
	}
	var out []int32
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			for _, x := range t.Partitions[i].CurrentVoters {
				out = append(out, x.ReplicaID)
			}
		}
	}
	return out, nil
}

// problem is one thing that needs attention.
type problem struct {
	What   string `json:"problem"`
	Broker *int32 `json:"broker,omitempty"`
	Topic  string `json:"topic,omitempty"`
	Part   *int32 `json:"partition,omitempty"`
	Detail string `json:"detail,omitempty"`
	Advice string `json:"advice"`
}

func (x *problem) where() string {
	switch {
	case x.Part != nil:
		return fmt.Sprintf("%s-%d", x.Topic, *x.Part)
	case x.Topic != "":
		return x.Topic
	case x.Broker != nil:
		return fmt.Sprintf("broker %d", *x.Broker)
	}
	return "cluster"
}

// fewestVoters is how many brokers vote on the metadata where there are so many.
const fewestVoters = 3

// problems finds what needs attention, the worst first.
func (v *view) problems() []problem {
	out := []problem{}
	if v.cluster.ControllerID < 0 {
		out = append(out, problem{What: "no controller", Advice: "start brokers until a majority of the voters is up"})
	}
	if could := min(len(v.cluster.Brokers), fewestVoters); len(v.voters) > 0 && len(v.voters) < could {
		out = append(out, problem{
			What: "few voters", Detail: fmt.Sprintf("%s of %d", joined(v.voters), could),
			Advice: "a broker with a new disk votes as soon as it has the metadata; until then another loss stops all changes",
		})
	}
	for i := range v.cluster.Brokers {
		if b := &v.cluster.Brokers[i]; b.IsFenced {
			out = append(out, problem{
				What: "broker fenced", Broker: &b.NodeID,
				Advice: "start it again; if it is gone for good, move its replicas away and decommission it",
			})
		}
	}
	for _, t := range v.topics.Sorted() {
		if t.Err != nil {
			out = append(out, problem{What: "topic not described", Topic: t.Topic, Detail: t.Err.Error(), Advice: "ask again; look at the broker's log"})
		}
	}
	type worry func(t string, p *kadm.PartitionDetail) (what, detail, advice string)
	for _, look := range []worry{v.leaderless, v.belowMinISR, v.offlineReplicas, v.underReplicated} {
		for _, t := range v.topics.Sorted() {
			for _, p := range t.Partitions.Sorted() {
				if what, detail, advice := look(t.Topic, &p); what != "" {
					index := p.Partition
					out = append(out, problem{What: what, Topic: t.Topic, Part: &index, Detail: detail, Advice: advice})
				}
			}
		}
	}
	return out
}

func (v *view) leaderless(_ string, p *kadm.PartitionDetail) (what, detail, advice string) {
	if p.Leader >= 0 {
		return "", "", ""
	}
	return "no leader", "replicas " + joined(p.Replicas), "start one of the brokers that were in sync last (topic describe: ISR, ELR)"
}

func (v *view) belowMinISR(topic string, p *kadm.PartitionDetail) (what, detail, advice string) {
	need := min(v.minISR[topic], len(p.Replicas)-len(v.adding[topic][p.Partition]))
	if len(p.ISR) >= need {
		return "", "", ""
	}
	return "below min.insync.replicas", fmt.Sprintf("in sync %s, needed %d", orNone(p.ISR), need), "acks=all is refused until more replicas are in sync: start their brokers"
}

func (v *view) offlineReplicas(_ string, p *kadm.PartitionDetail) (what, detail, advice string) {
	if len(p.OfflineReplicas) == 0 {
		return "", "", ""
	}
	return "replica offline", "on " + joined(p.OfflineReplicas), "start these brokers, or move the partition to others"
}

func (v *view) underReplicated(topic string, p *kadm.PartitionDetail) (what, detail, advice string) {
	adding := v.adding[topic][p.Partition]
	behind := slices.DeleteFunc(slices.Clone(p.Replicas), func(b int32) bool { return slices.Contains(p.ISR, b) || slices.Contains(adding, b) })
	if len(behind) == 0 || len(p.OfflineReplicas) > 0 {
		return "", "", "" // or it was said already
	}
	return "under-replicated", "behind " + joined(behind), "they catch up; if they do not, look at the disks and the network of these brokers"
}

func orNone(ids []int32) string {
	if len(ids) == 0 {
		return "none"
	}
	return joined(ids)
}

// healthRows is how many problems the table has. All are in the JSON.
const healthRows = 100

func (p *program) showHealth(how output, v *view, problems []problem) error {
	partitions := 0
	for _, t := range v.topics {
		partitions += len(t.Partitions)
	}
	healthy := len(problems) == 0
	if how == outputJSON {
		answer := struct {
			Healthy    bool      `json:"healthy"`
			Brokers    int       `json:"brokers"`
			Topics     int       `json:"topics"`
			Partitions int       `json:"partitions"`
			Problems   []problem `json:"problems"`
		}{healthy, len(v.cluster.Brokers), len(v.topics), partitions, problems}
		if err := p.show(how, answer); err != nil {
			return err
		}
	} else if healthy {
		fmt.Fprintf(p.stdout, "healthy: %s, %s, %s\n", count(len(v.cluster.Brokers), "broker"), count(len(v.topics), "topic"), count(partitions, "partition"))
	} else {
		t := newTable("PROBLEM", "WHERE", "DETAIL", "WHAT TO DO")
		for i := range min(len(problems), healthRows) {
			x := &problems[i]
			t.add(x.What, x.where(), x.Detail, x.Advice)
		}
		if more := len(problems) - healthRows; more > 0 {
			t.add(fmt.Sprintf("… and %d more", more), "", "", "--output json has all")
		}
		if err := p.show(how, nil, t); err != nil {
			return err
		}
	}
	if healthy {
		return nil
	}
	return errors.New(summary(problems))
}

// summary counts the problems by their kinds, in their order.
func summary(problems []problem) string {
	var kinds []string
	times := map[string]int{}
	for i := range problems {
		if times[problems[i].What]++; times[problems[i].What] == 1 {
			kinds = append(kinds, problems[i].What)
		}
	}
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%s (%d)", kind, times[kind])
	}
	return "not healthy: " + strings.Join(kinds, ", ")
}
