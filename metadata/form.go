package metadata

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// IntroduceRequest is the type of control request by which seeds learn of each other. Integers are big endian, strings have their
// uvarint length in front.
//
//	request  0 version u8 = 1
//	answer   0 version u8 = 1   1 voters u16   3 node i32   7 cluster id, string   then the number of seeds u16, and each as a string
const IntroduceRequest uint16 = 2

// ErrSeeds says that the brokers of a new cluster were not started with the same seeds.
var ErrSeeds = errors.New("cluster.seeds of the brokers differ")

const (
	introduceVersion = 1
	// MaxSeeds bounds the list of seeds. A handful finds any cluster.
	MaxSeeds = 64
	// maxVoters bounds a majority that has to agree on every command.
	maxVoters = 9
	// formRetry is the pause between two rounds of questions.
	formRetry = 250 * time.Millisecond
	// introduceTimeout is for one seed to answer: it may be anywhere, and down.
	introduceTimeout = 2 * time.Second
)

// Seeds is how a broker without state finds its cluster, or makes one with others. In Options only the addresses and the voters are
// to be set.
type Seeds struct {
	Peers     *peer.Host
	NodeID    int32
	Addresses []string // the same list, in the same order, on each broker that may make the cluster
	Voters    int      // how many of them, the first ones, vote at the start; 0: 3
	Logger    *slog.Logger
}

// enter prepares a broker's log: it finds out whether the directory has one, whether there is a cluster, and makes one or becomes a member
// of it. What it found is in the options.
func (s *Store) enter(ctx context.Context, o *Options) error {
	known, err := quorum.HasState(o.raftDir())
	if err != nil {
		return err
	}
	if o.Join = true; known || s.had.cluster != "" {
		return nil
	}
	f, err := s.seeds.Form(ctx)
	if err != nil {
		return err
	}
	if f.ClusterID != "" && o.ClusterID != "" && f.ClusterID != o.ClusterID {
		return fmt.Errorf("%w: cluster.seeds are those of cluster.id=%s expected=%s", ErrIdentity, f.ClusterID, o.ClusterID)
	}
	if len(f.Voters) > 0 {
		o.Join, o.Voters = false, f.Voters
		return nil
	}
	a, err := s.join(ctx, true)
	if err != nil {
		return fmt.Errorf("join the cluster: %w", err)
	}
	if o.ClusterID == "" {
		o.ClusterID = a.cluster
	}
	return nil
}

// announce tells the group where this member is, once after its start: the address may be another than it was, and who was removed while
// it was away becomes a member again.
func (s *Store) announce() {
	_, err := s.join(s.ctx, false)
	s.announced <- err
}

// compare looks whether the seeds are those of this member's cluster. Its group may be there without them, so that nothing else would tell
// that the settings or the directory are wrong. Seeds that do not answer do not matter.
func (s *Store) compare(fatal func(error)) {
	answers, err := s.seeds.ask(s.ctx)
	for i, a := range answers {
		if known := s.knownCluster(); err == nil && a != nil && a.cluster != "" && known != "" && a.cluster != known {
			err = fmt.Errorf("%w: the seed %s belongs to cluster %s, this broker to %s: check cluster.seeds and data.dir", ErrRefused, s.seeds.Addresses[i], a.cluster, known)
		}
	}
	if err == nil || s.ctx.Err() != nil {
		return
	}
	s.announced <- err // if Open is not done yet
	s.logger.Error("cluster.seeds are not those of this broker", "error", err)
	if fatal != nil {
		go fatal(err) // it may close the store, which waits for this
	}
}

// knownCluster is the id of the cluster, as far as it is known already.
func (s *Store) knownCluster() string {
	if id := s.Image().ClusterID(); id != "" {
		return id
	}
	return s.had.cluster
}

// Formation is what a broker without state begins with; see Options.
type Formation struct {
	Voters    []quorum.Member // not empty: make the cluster
	Join      bool            // there is one, or others make it
	ClusterID string          // of the one that there is
}

// introduction is what a seed says of itself.
type introduction struct {
	voters  uint16
	node    int32
	cluster string
	seeds   []string
}

func (i *introduction) append(dst []byte) []byte {
	dst = append(dst, introduceVersion)
	dst = binary.BigEndian.AppendUint16(dst, i.voters)
	dst = binary.BigEndian.AppendUint32(dst, uint32(i.node))
	dst = codec.AppendString(dst, i.cluster)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(i.seeds)))
	for _, s := range i.seeds {
		dst = codec.AppendString(dst, s)
	}
	return dst
}

func parseIntroduction(b []byte) (i introduction, err error) {
	r := codec.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != introduceVersion {
		return i, fmt.Errorf("introduction of another version=%d: upgrade one release at a time", v)
	}
	i.voters, i.node, i.cluster = r.Uint16(), r.Int32(), r.String()
	n := int(r.Uint16())
	if n > MaxSeeds {
		return i, fmt.Errorf("introduction with too many seeds=%d max=%d", n, MaxSeeds)
	}
	for range n {
		i.seeds = append(i.seeds, r.String())
	}
	return i, r.Finish()
}

func (s *Seeds) voters() int {
	if s.Voters == 0 {
		return 3
	}
	return s.Voters
}

// Check refuses seeds that can not make a cluster.
func (s *Seeds) Check() error {
	sorted := slices.Sorted(slices.Values(s.Addresses))
	switch {
	case len(s.Addresses) == 0 || len(s.Addresses) > MaxSeeds:
		return fmt.Errorf("form cluster: seeds=%d, from 1 to %d are allowed", len(s.Addresses), MaxSeeds)
	case len(slices.Compact(sorted)) != len(s.Addresses):
		return fmt.Errorf("form cluster: an address is repeated seeds=%s", strings.Join(s.Addresses, ","))
	case s.voters()%2 == 0 || s.voters() > maxVoters:
		return fmt.Errorf("form cluster: voters=%d, an odd number up to %d is wanted", s.voters(), maxVoters)
	}
	return nil
}

// Introduce makes this broker answer the others' questions. It may be called before there is any state; cluster gives the id of the
// cluster as far as known.
func (s *Seeds) Introduce(cluster func() string) {
	s.Peers.Register(IntroduceRequest, func(context.Context, peer.Identity, []byte) ([]byte, error) {
		i := introduction{voters: uint16(s.voters()), node: s.NodeID, cluster: cluster(), seeds: s.Addresses}
		return i.append(nil), nil
	})
}

// Form asks the seeds until it is clear what a broker without state has to do, or ctx ends. A cluster is made only when every seed has
// answered, none knows of a cluster, and all were given the same seeds: so all that make it make the same one, however often some of
// them start anew meanwhile.
func (s *Seeds) Form(ctx context.Context) (Formation, error) {
	if err := s.Check(); err != nil {
		return Formation{}, err
	}
	logger := s.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	for told := ""; ; {
		answers, err := s.ask(ctx)
		if err != nil {
			return Formation{}, err
		}
		f, waiting, err := s.decide(answers)
		if err != nil || waiting == "" {
			return f, err
		}
		if waiting != told {
			told = waiting
			logger.InfoContext(ctx, "waiting for the cluster", "for", waiting)
		}
		retry := time.NewTimer(formRetry)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return Formation{}, fmt.Errorf("form cluster: waiting for %s: %w", waiting, context.Cause(ctx))
		}
	}
}

// ask returns what each seed answers, nil where none does. It fails when a seed will never answer this broker.
func (s *Seeds) ask(ctx context.Context) ([]*introduction, error) {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	answers := make([]*introduction, len(s.Addresses))
	refusals := make([]error, len(s.Addresses))
	var asked sync.WaitGroup
	for i, address := range s.Addresses {
		asked.Go(func() {
			b, err := s.Peers.Call(ctx, address, peer.AnyNode, IntroduceRequest, []byte{introduceVersion})
			var refused *peer.RefusedError
			if errors.As(err, &refused) && refused.Final {
				refusals[i] = fmt.Errorf("%w: address=%s: %s", ErrRefused, address, refused.Reason)
			}
			if err != nil {
				return // it is down, or not ours: who waits for it is told
			}
			if a, err := parseIntroduction(b); err == nil {
				answers[i] = &a
			}
		})
	}
	asked.Wait()
	return answers, errors.Join(refusals...)
}

// decide tells what answers mean. While they do not suffice, waiting says what is missing.
func (s *Seeds) decide(answers []*introduction) (f Formation, waiting string, err error) {
	var missing []string
	nodes := map[int32]string{}
	for i, a := range answers {
		address := s.Addresses[i]
		if a == nil {
			missing = append(missing, address)
			continue
		}
		if a.cluster != "" && f.ClusterID != "" && a.cluster != f.ClusterID {
			return Formation{}, "", fmt.Errorf("%w: %s belongs to cluster %s, another seed to %s", ErrSeeds, address, a.cluster, f.ClusterID)
		}
		if a.cluster != "" {
			f.Join, f.ClusterID = true, a.cluster
		}
		if other, twice := nodes[a.node]; twice {
			return Formation{}, "", fmt.Errorf("%w: %s and %s are both broker %d: give each broker one address there and a node.id of its own", ErrSeeds, other, address, a.node)
		}
		nodes[a.node] = address
	}
	if f.Join {
		return f, "", nil
	}
	for i, a := range answers {
		if a != nil && (!slices.Equal(a.seeds, s.Addresses) || int(a.voters) != s.voters()) {
			return Formation{}, "", fmt.Errorf("%w: broker %d at %s has %s with %d voters, this one %s with %d", ErrSeeds, a.node, s.Addresses[i],
				strings.Join(a.seeds, ","), a.voters, strings.Join(s.Addresses, ","), s.voters())
		}
	}
	if len(missing) > 0 {
		return Formation{}, strings.Join(missing, ","), nil
	}
	for i := range min(s.voters(), len(answers)) {
		f.Voters = append(f.Voters, quorum.Member{ID: MemberID(answers[i].node), Address: s.Addresses[i]})
	}
	if len(f.Voters)%2 == 0 { // two can not outvote one
		f.Voters = f.Voters[:len(f.Voters)-1]
	}
	if !slices.ContainsFunc(f.Voters, func(m quorum.Member) bool { return m.ID == MemberID(s.NodeID) }) {
		return Formation{}, "the first seeds to make it", nil
	}
	return f, "", nil
}
