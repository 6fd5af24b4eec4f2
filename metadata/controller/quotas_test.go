package controller

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

// parts makes an entity of "type=name" or "type" for the default.
func parts(list ...string) []record.QuotaPart {
	var out []record.QuotaPart
	for _, s := range list {
		kind, name, named := strings.Cut(s, "=")
		out = append(out, record.QuotaPart{Type: kind, Name: name, Default: !named})
	}
	return out
}

func TestAlterQuotas(t *testing.T) {
	w := newCluster(t, 1)
	set := func(key string, value float64) []QuotaOp { return []QuotaOp{{Key: key, Value: value}} }
	for name, x := range map[string]struct {
		entity []record.QuotaPart
		ops    []QuotaOp
		ok     bool
	}{
		"user":              {parts("user=a"), set(ProducerByteRate, 1024), true},
		"client":            {parts("client-id=a"), set(ConsumerByteRate, math.MaxInt64), true},
		"both, any order":   {parts("user=a", "client-id"), set(RequestPercentage, 12.5), true},
		"default":           {parts("user"), set(ControllerMutationRate, 0.5), true},
		"ip":                {parts("ip=10.0.0.1"), set(ConnectionCreationRate, math.MaxInt32), true},
		"ip6":               {parts("ip=::1"), set(ConnectionCreationRate, 1), true},
		"default ip":        {parts("ip"), set(ConnectionCreationRate, 1), true},
		"nearly whole":      {parts("user=a"), set(ProducerByteRate, 1024.0000001), true},
		"no parts":          {nil, set(ProducerByteRate, 1), false},
		"unknown type":      {parts("topic=a"), set(ProducerByteRate, 1), false},
		"type twice":        {parts("user=a", "user=b"), set(ProducerByteRate, 1), false},
		"empty name":        {parts("user="), set(ProducerByteRate, 1), false},
		"long name":         {parts("user=" + strings.Repeat("x", record.MaxPrincipal+1)), set(ProducerByteRate, 1), false},
		"ip and user":       {parts("ip=10.0.0.1", "user=a"), set(ProducerByteRate, 1), false},
		"no ip":             {parts("ip=localhost"), set(ConnectionCreationRate, 1), false},
		"unknown quota":     {parts("user=a"), set("x", 1), false},
		"quota of an ip":    {parts("user=a"), set(ConnectionCreationRate, 1), false},
		"quota of a user":   {parts("ip=10.0.0.1"), set(ProducerByteRate, 1), false},
		"zero":              {parts("user=a"), set(ProducerByteRate, 0), false},
		"negative":          {parts("user=a"), set(RequestPercentage, -1), false},
		"not a number":      {parts("user=a"), set(RequestPercentage, math.NaN()), false},
		"infinite":          {parts("user=a"), set(RequestPercentage, math.Inf(1)), false},
		"fraction":          {parts("user=a"), set(ProducerByteRate, 1.5), false},
		"too large":         {parts("user=a"), set(ProducerByteRate, 1e19), false},
		"too large for int": {parts("ip=10.0.0.1"), set(ConnectionCreationRate, math.MaxInt32+1), false},
		"key twice":         {parts("user=a"), append(set(ProducerByteRate, 1), set(ProducerByteRate, 2)...), false},
		"all or none":       {parts("user=a"), append(set(ProducerByteRate, 1), set("x", 2)...), false},
	} {
		c, out := AlterQuotas(w.Image, []QuotaAlteration{{x.entity, x.ops}})
		if len(out) != 1 || x.ok != (out[0].Err == nil) || !x.ok && !errors.Is(out[0].Err, ErrInvalidRequest) {
			t.Errorf("%s: %v", name, out)
		}
		if x.ok != (c != nil) {
			t.Errorf("%s: %v", name, c)
			continue
		}
		if x.ok && !c.Changes[0].Valid() {
			t.Errorf("%s: the command would be refused: %+v", name, c.Changes[0])
		}
	}
}

func TestAlterQuotasOnlyChanges(t *testing.T) {
	w := newCluster(t, 1)
	user := parts("user=a")
	c, _ := AlterQuotas(w.Image, []QuotaAlteration{{user, []QuotaOp{{Key: ProducerByteRate, Value: 1}, {Key: ConsumerByteRate, Value: 2}}}})
	w.apply(c)
	for name, x := range map[string]struct {
		ops  []QuotaOp
		want int
	}{
		"as it is":          {[]QuotaOp{{Key: ProducerByteRate, Value: 1}}, 0},
		"other value":       {[]QuotaOp{{Key: ProducerByteRate, Value: 3}, {Key: ConsumerByteRate, Value: 2}}, 1},
		"remove":            {[]QuotaOp{{Key: ProducerByteRate, Remove: true}}, 1},
		"remove nothing":    {[]QuotaOp{{Key: RequestPercentage, Remove: true}}, 0},
		"remove an unknown": {[]QuotaOp{{Key: "x", Remove: true}}, 0},
	} {
		c, out := AlterQuotas(w.Image, []QuotaAlteration{{user, x.ops}})
		n := 0
		if c != nil {
			n = len(c.Changes)
		}
		if out[0].Err != nil || n != x.want {
			t.Errorf("%s: %d changes, %v", name, n, out)
		}
	}
	// The first alteration of an entity counts, and its result says that there were others.
	c, out := AlterQuotas(w.Image, []QuotaAlteration{
		{user, []QuotaOp{{Key: ProducerByteRate, Value: 7}}},
		{parts("client-id=c"), []QuotaOp{{Key: ProducerByteRate, Value: 8}}},
		{user, []QuotaOp{{Key: ProducerByteRate, Value: 9}}},
	})
	if len(out) != 2 || !errors.Is(out[0].Err, ErrInvalidRequest) || out[1].Err != nil || len(c.Changes) != 2 || c.Changes[0].Value != 7 {
		t.Error(c, out)
	}
	var many []QuotaAlteration
	for i := range maxChanges + 1 {
		many = append(many, QuotaAlteration{parts(fmt.Sprint("user=", i)), []QuotaOp{{Key: ProducerByteRate, Value: 1}}})
	}
	c, out = AlterQuotas(w.Image, many)
	if len(c.Changes) != maxChanges || !errors.Is(out[maxChanges].Err, ErrTooManyChanges) {
		t.Error(len(c.Changes), out[maxChanges])
	}
	for _, c := range record.ChunkQuotas(c) {
		w.apply(c)
	}
}

func TestDescribeQuotas(t *testing.T) {
	w := newCluster(t, 1)
	var all []QuotaAlteration
	for _, e := range [][]record.QuotaPart{parts("user=a"), parts("user"), parts("user=a", "client-id=c"), parts("user", "client-id"), parts("client-id=c")} {
		all = append(all, QuotaAlteration{e, []QuotaOp{{Key: ProducerByteRate, Value: 1}}})
	}
	all = append(all, QuotaAlteration{parts("ip=10.0.0.1"), []QuotaOp{{Key: ConnectionCreationRate, Value: 1}}})
	c, _ := AlterQuotas(w.Image, all)
	w.apply(c)
	exact := func(kind, name string) QuotaFilter { return QuotaFilter{Type: kind, Match: QuotaExact, Name: &name} }
	is := func(kind string, match uint8) QuotaFilter { return QuotaFilter{Type: kind, Match: match} }
	named := exact("user", "a")
	named.Match = QuotaDefault
	for name, x := range map[string]struct {
		filters []QuotaFilter
		strict  bool
		want    string
		err     error
	}{
		"all":              {nil, false, "client-id=<default>,user=<default> client-id=c client-id=c,user=a ip=10.0.0.1 user=<default> user=a", nil},
		"none":             {nil, true, "", nil},
		"user":             {[]QuotaFilter{exact("user", "a")}, false, "client-id=c,user=a user=a", nil},
		"user alone":       {[]QuotaFilter{exact("user", "a")}, true, "user=a", nil},
		"default":          {[]QuotaFilter{is("user", QuotaDefault)}, false, "client-id=<default>,user=<default> user=<default>", nil},
		"any":              {[]QuotaFilter{is("client-id", QuotaSpecified)}, false, "client-id=<default>,user=<default> client-id=c client-id=c,user=a", nil},
		"any alone":        {[]QuotaFilter{is("client-id", QuotaSpecified)}, true, "client-id=c", nil},
		"two":              {[]QuotaFilter{is("client-id", QuotaSpecified), exact("user", "a")}, true, "client-id=c,user=a", nil},
		"ip":               {[]QuotaFilter{is("ip", QuotaSpecified)}, true, "ip=10.0.0.1", nil},
		"no such user":     {[]QuotaFilter{exact("user", "x")}, false, "", nil},
		"empty type":       {[]QuotaFilter{is("", QuotaSpecified)}, false, "", ErrInvalidRequest},
		"twice":            {[]QuotaFilter{is("user", QuotaSpecified), exact("user", "a")}, false, "", ErrInvalidRequest},
		"unknown type":     {[]QuotaFilter{is("topic", QuotaSpecified)}, false, "", ErrUnknownEntityType},
		"unknown match":    {[]QuotaFilter{is("user", 3)}, false, "", ErrInvalidRequest},
		"exact, no name":   {[]QuotaFilter{is("user", QuotaExact)}, false, "", ErrInvalidRequest},
		"default and name": {[]QuotaFilter{named}, false, "", ErrInvalidRequest},
		"ip and user":      {[]QuotaFilter{is("ip", QuotaSpecified), is("user", QuotaSpecified)}, false, "", ErrInvalidRequest},
	} {
		out, err := DescribeQuotas(w.Image, x.filters, x.strict)
		var got []string
		for _, q := range out {
			got = append(got, q.Entity.String())
		}
		if s := strings.Join(got, " "); s != x.want || !errors.Is(err, x.err) {
			t.Errorf("%s: got %s %v, want %s", name, s, err, x.want)
		}
	}
}
