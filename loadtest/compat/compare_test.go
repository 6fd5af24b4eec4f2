package compat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/freeport"
)

// callTimeout bounds the wait for one answer.
const callTimeout = 30 * time.Second

// A side is one of the two brokers that get the same calls, and all that it answered.
type side struct {
	t          testing.TB
	name       string
	addr       string
	guarded    string             // the listener where clients prove who they are
	ranges     map[int16][2]int16 // the versions that both have
	asked      map[[2]int16]bool  // the keys and versions that were answered, in all scenarios
	conns      map[string]*wireConn
	transcript []said
	aliases    map[string]string
	numbers    map[string]int
}

// said is one field of one answer.
type said struct{ step, field, value string }

// compare runs a scenario on Apache Kafka and on Tideline and compares what they said, field by field.
func compare(t *testing.T, sides [2]*side, allowed []allowance, scenario func(s *side)) {
	t.Helper()
	for _, s := range sides {
		s.t, s.transcript, s.conns, s.aliases, s.numbers = t, nil, map[string]*wireConn{}, map[string]string{}, map[string]int{}
		scenario(s)
		for _, c := range s.conns {
			_ = c.Close()
		}
	}
	keepTranscripts(t, map[string][]said{sides[0].name: sides[0].transcript, sides[1].name: sides[1].transcript})
	judge(t, difference(sides[0].transcript, sides[1].transcript), allowed)
}

// keepTranscripts writes all that was said into the directory that TIDELINE_COMPARE_DIR names.
func keepTranscripts(t *testing.T, transcripts map[string][]said) {
	t.Helper()
	dir := os.Getenv("TIDELINE_COMPARE_DIR")
	if dir == "" {
		return
	}
	for name, transcript := range transcripts {
		var b strings.Builder
		for _, one := range transcript {
			fmt.Fprintf(&b, "%s: %s: %s\n", one.step, one.field, one.value)
		}
		path := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+"-"+name+".txt")
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// judge fails the test for each difference that is not allowed, and for each allowance without a difference.
func judge(t *testing.T, lines []string, allowed []allowance) {
	t.Helper()
	used := make([]bool, len(allowed))
	for _, line := range lines {
		i := slices.IndexFunc(allowed, func(a allowance) bool { return a.where.MatchString(line) })
		if i < 0 {
			t.Errorf("%s", line)
			continue
		}
		used[i] = true
	}
	for i, a := range allowed {
		if !used[i] && !a.race && !reference() {
			t.Errorf("no difference that is allowed as %q: %s", a.where, a.why)
		}
	}
}

// An allowance is a difference that is meant. docs/divergence.md tells the users of each.
type allowance struct {
	where *regexp.Regexp // of the lines of difference
	why   string
	race  bool // it is not always there
}

func allow(where, why string) allowance { return allowance{where: regexp.MustCompile(where), why: why} }

// mayDiffer is allow for what depends on who is first.
func mayDiffer(where, why string) allowance {
	return allowance{where: regexp.MustCompile(where), why: why, race: true}
}

// difference tells of every field that has not the same value on both sides, and of those that one side lacks.
func difference(kafka, tideline []said) []string {
	type key struct{ step, field string }
	index := func(all []said) (map[key]string, []key) {
		m, order := map[key]string{}, []key(nil)
		for _, one := range all {
			k := key{one.step, one.field}
			m[k] = one.value
			order = append(order, k)
		}
		return m, order
	}
	theirs, order := index(kafka)
	ours, more := index(tideline)
	for _, k := range more {
		if _, ok := theirs[k]; !ok {
			order = append(order, k)
		}
	}
	var lines []string
	for _, k := range order {
		a, inA := theirs[k]
		b, inB := ours[k]
		if !inA {
			a = "nothing"
		}
		if !inB {
			b = "nothing"
		}
		if a != b {
			lines = append(lines, fmt.Sprintf("%s: %s: kafka=%s tideline=%s", k.step, k.field, a, b))
		}
	}
	return lines
}

// clamp is the version of a key that is nearest to v among those that both have.
func (s *side) clamp(key, v int16) int16 {
	r, ok := s.ranges[key]
	if !ok {
		s.t.Fatalf("%s has no common version on both sides", kmsg.NameForKey(key))
	}
	return min(max(v, r[0]), r[1])
}

// latest is the highest version of a key that both have.
func (s *side) latest(key int16) int16 { return s.clamp(key, 1<<14) }

// call sends a request and notes the answer under the step's name.
func (s *side) call(step string, req kmsg.Request, v int16) kmsg.Response {
	s.t.Helper()
	resp, err := s.try("main", req, v)
	if err != nil {
		s.numbers[step]++
		s.transcript = append(s.transcript, said{fmt.Sprintf("%s %s v%d (%d)", step, kmsg.NameForKey(req.Key()), v, s.numbers[step]), "answer", silence(err)})
		return req.ResponseKind()
	}
	s.note(step, resp)
	return resp
}

// silence says how a request is not answered.
func silence(err error) string {
	timeout := net.Error(nil)
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "never comes"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the end of the connection"
	}
	return err.Error()
}

// note keeps an answer for the comparison.
func (s *side) note(step string, resp kmsg.Response) {
	step = fmt.Sprintf("%s %s v%d", step, kmsg.NameForKey(resp.Key()), resp.GetVersion())
	s.numbers[step]++
	if n := s.numbers[step]; n > 1 {
		step = fmt.Sprintf("%s (%d)", step, n)
	}
	s.walk(step, "", reflect.ValueOf(resp).Elem())
}

// ask sends a request on a connection of its own name and returns the answer.
func (s *side) ask(conn string, req kmsg.Request, v int16) kmsg.Response {
	s.t.Helper()
	resp, err := s.try(conn, req, v)
	if err != nil {
		s.t.Fatalf("%s: %s v%d: %v", s.name, kmsg.NameForKey(req.Key()), v, err)
	}
	return resp
}

func (s *side) try(conn string, req kmsg.Request, v int16) (kmsg.Response, error) {
	c := s.conns[conn]
	if c == nil {
		var err error
		if c, err = dialWire(s.addr); err != nil {
			return nil, err
		}
		s.conns[conn] = c
	}
	resp, err := c.call(req, v)
	if err == nil {
		s.asked[[2]int16{req.Key(), v}] = true
	} else {
		delete(s.conns, conn) // the next request finds a new one
	}
	return resp, err
}

// start sends a request whose answer takes as long as others let it.
func (s *side) start(conn string, req kmsg.Request, v int16) (answer func() kmsg.Response) {
	s.t.Helper()
	c, err := dialWire(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.conns[conn+" that waits"] = c
	type result struct {
		resp kmsg.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := c.call(req, v)
		done <- result{resp, err}
	}()
	return func() kmsg.Response {
		s.t.Helper()
		r := <-done
		if r.err != nil {
			s.t.Fatalf("%s: %s v%d: %v", s.name, kmsg.NameForKey(req.Key()), v, r.err)
		}
		return r.resp
	}
}

// until asks again and again, and notes nothing, until the answer is the one that is waited for. One that does not come is noted, and so
// is a difference.
func until[R kmsg.Response](s *side, what string, req kmsg.Request, v int16, good func(R) bool) R {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(callTimeout); ; <-tick.C {
		resp := s.ask("main", req, v).(R)
		if good(resp) {
			return resp
		}
		if time.Now().After(deadline) {
			s.transcript = append(s.transcript, said{"wait", what, fmt.Sprintf("in vain, the last answer is %+v", resp)})
			return resp
		}
	}
}

// unordered are the lists whose order means nothing.
var unordered = map[string]bool{"Entries": true, "Entity": true, "Values": true, "CredentialInfos": true, "ACLs": true, "MatchingACLs": true, "TokenDetails": true, "Configs": true, "Resources": true, "Results": true, "ConfigResources": true, "Features": true, "FinalizedFeatures": true, "SupportedFeatures": true, "Groups": true, "Members": true, "TransactionStates": true, "ActiveProducers": true, "ApiKeys": true, "Topics": true, "Partitions": true, "TopicPartitions": true, "Coordinators": true}

// own are the fields whose values each side makes up: only which of them are equal is compared.
var own = map[string]string{
	"TokenID": "token", "HMAC": "proof", "MemberID": "member", "LeaderID": "member", "ProducerID": "producer", "TopicID": "topic", "CoordinatorID": "node",
}

func (s *side) walk(step, path string, v reflect.Value) {
	s.render(path, v, func(field, value string) { s.transcript = append(s.transcript, said{step, field, value}) }, true)
}

// render tells each field of an answer. New identifiers get their aliases when alias is set, else all of them look alike.
func (s *side) render(path string, v reflect.Value, emit func(field, value string), alias bool) {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	if kind, ok := own[name]; ok && (name != "LeaderID" || v.Kind() == reflect.String) {
		emit(path, s.alias(kind, v, alias))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			emit(path, "null")
			return
		}
		s.render(path, v.Elem(), emit, alias)
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch field.Name {
			case "Version", "UnknownTags", "ThrottleMillis", "ClusterID":
				continue
			case "ErrorMessage", "StatusDetail":
				continue // for people, and each has its own words
			}
			s.render(path+"."+field.Name, v.Field(i), emit, alias)
		}
	case reflect.Slice:
		if v.IsNil() {
			emit(path, "null")
			return
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if name == "Records" || name == "RecordBatches" {
				emit(path, batches(v.Bytes()))
			} else {
				emit(path, fmt.Sprintf("%q", v.Bytes()))
			}
			return
		}
		emit(path, fmt.Sprintf("%d elements", v.Len()))
		order := make([]int, v.Len())
		for i := range order {
			order[i] = i
		}
		if unordered[name] {
			texts := make([]string, v.Len())
			for i := range order {
				var b strings.Builder
				s.render("", v.Index(i), func(field, value string) { fmt.Fprintf(&b, "%s=%s ", field, value) }, false)
				texts[i] = b.String()
			}
			slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(texts[a], texts[b]) })
		}
		for to, from := range order {
			s.render(fmt.Sprintf("%s[%d]", path, to), v.Index(from), emit, alias)
		}
	default:
		emit(path, s.scalar(name, v))
	}
}

func (s *side) scalar(name string, v reflect.Value) string {
	switch {
	case name == "ErrorCode":
		if v.Int() == 0 {
			return "NONE"
		}
		err := &kerr.Error{}
		if errors.As(kerr.ErrorForCode(int16(v.Int())), &err) {
			return err.Message
		}
	case name == "Host" && v.String() != "":
		return "<host>"
	case name == "Port" && v.CanInt() && v.Int() > 0:
		return "<port>"
	case (strings.HasSuffix(name, "Timestamp") || strings.HasSuffix(name, "TimeMillis")) && v.Int() > 0:
		return "<time>"
	case v.Kind() == reflect.String:
		return fmt.Sprintf("%q", v.String())
	}
	return fmt.Sprint(v.Interface())
}

// alias names a value after the order in which the values of its kind came.
func (s *side) alias(kind string, v reflect.Value, number bool) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "null"
		}
		v = v.Elem()
	}
	if v.IsZero() || (v.CanInt() && v.Int() < 0) {
		return fmt.Sprintf("%v", v.Interface())
	}
	key := fmt.Sprintf("%s %v", kind, v.Interface())
	if !number && s.aliases[key] == "" {
		return "<" + kind + ">"
	}
	if s.aliases[key] == "" {
		s.numbers["alias "+kind]++
		s.aliases[key] = fmt.Sprintf("<%s %d>", kind, s.numbers["alias "+kind])
	}
	return s.aliases[key]
}

// batches tells of record batches what does not depend on times.
func batches(b []byte) string {
	var parts []string
	for len(b) >= 61 {
		length := int(binary.BigEndian.Uint32(b[8:])) + 12
		if length > len(b) {
			parts = append(parts, "a part")
			break
		}
		parts = append(parts, fmt.Sprintf("offset %d, %d records, attributes %#x", binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[57:]), binary.BigEndian.Uint16(b[21:])))
		b = b[length:]
	}
	return "[" + strings.Join(parts, "; ") + "]"
}

// wireConn is a connection that sends any version of any request.
type wireConn struct {
	net.Conn
	formatter   *kmsg.RequestFormatter
	correlation int32
}

func dialWire(addr string) (*wireConn, error) {
	c, err := net.DialTimeout("tcp", addr, callTimeout)
	if err != nil {
		return nil, err
	}
	return &wireConn{Conn: c, formatter: kmsg.NewRequestFormatter(kmsg.FormatterClientID("compare"))}, nil
}

// maxAnswer bounds an answer.
const maxAnswer = 64 << 20

func (c *wireConn) call(req kmsg.Request, v int16) (kmsg.Response, error) {
	req.SetVersion(v)
	c.correlation++
	if err := c.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write(c.formatter.AppendRequest(nil, req, c.correlation)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[:])) - 4
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != c.correlation || size < 0 || size > maxAnswer {
		return nil, fmt.Errorf("bad answer size=%d correlation_id=%d", size, got)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(v)
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("tagged fields in the header of an answer")
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, err
	}
	// What a parser leaves over tells that a field is missing or too much.
	if again := resp.AppendTo(nil); len(again) != len(body) {
		return nil, fmt.Errorf("an answer of %d bytes encodes to %d again", len(body), len(again))
	}
	return resp, nil
}

// authorizing are settings with which both sides judge who may do what, and let everyone do everything: clients without a name
// are super users. Those who prove to be alice may do nothing.
var authorizing = []string{
	"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS",
	"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256", "delegation.token.secret.key=compared",
}

// startSides runs both brokers and finds the versions that both have.
func startSides(t *testing.T) [2]*side {
	t.Helper()
	settings := map[string]string{
		"transaction.state.log.num.partitions": "6", "offsets.topic.num.partitions": "6",
		"group.streams.min.session.timeout.ms": "1000", "group.streams.session.timeout.ms": "6000",
		"group.streams.min.heartbeat.interval.ms": "1000", "group.streams.heartbeat.interval.ms": "1000",
	}
	for key, value := range quick {
		settings[key] = value
	}
	for _, property := range authorizing {
		key, value, _ := strings.Cut(property, "=")
		settings[key] = value
	}
	doors := freeport.ForTest(t, 2)
	const kafkaDoor = "listeners=PLAINTEXT://{listen},SASL_PLAINTEXT://%s,CONTROLLER://{controller}"
	properties := append(slices.Clone(authorizing), fmt.Sprintf(kafkaDoor, doors[0]),
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
		"listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		`listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";`)
	sides := [2]*side{{name: "kafka", addr: startKafka(t, properties...).addr, guarded: doors[0]}, {name: "tideline", guarded: doors[1]}}
	if reference() {
		properties[len(authorizing)] = fmt.Sprintf(kafkaDoor, doors[1])
		sides[1].addr = startKafka(t, properties...).addr
	} else {
		users := filepath.Join(t.TempDir(), "users")
		if err := os.WriteFile(users, []byte("alice:secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		listeners := "PLAINTEXT://{listen},SASL_PLAINTEXT://" + doors[1]
		settings["listeners"], settings["advertised.listeners"], settings["sasl.plain.users.file"] = listeners, listeners, users
		settings["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT"
		sides[1].addr = brokertest.Start(t, brokertest.Options{Settings: settings}).Addr()
	}
	common := map[int16][2]int16{}
	for i, s := range sides {
		s.t, s.conns, s.ranges, s.asked = t, map[string]*wireConn{}, common, map[[2]int16]bool{}
		resp := s.versions()
		mine := map[int16][2]int16{}
		for _, k := range resp.ApiKeys {
			r := [2]int16{k.MinVersion, k.MaxVersion}
			if req := kmsg.RequestForKey(k.ApiKey); req != nil {
				r[1] = min(r[1], req.MaxVersion())
				mine[k.ApiKey] = r
			}
		}
		if i == 0 {
			common = mine
			continue
		}
		both := map[int16][2]int16{}
		for key, r := range mine {
			if of, ok := common[key]; ok {
				both[key] = [2]int16{max(r[0], of[0]), min(r[1], of[1])}
			}
		}
		common = both
	}
	for _, s := range sides {
		s.ranges = common
	}
	return sides
}

// TestCompare makes the same calls to Apache Kafka and to Tideline and compares every field of the answers.
func TestCompare(t *testing.T) {
	sides := startSides(t)
	for _, one := range []struct {
		name     string
		scenario func(s *side)
		allowed  []allowance
	}{
		{"versions", compareVersions, versionsAllowed},
		{"classic", compareClassic, classicAllowed},
		{"static", compareStatic, nil},
		{"rebalance", compareRebalance, nil},
		{"transactions", compareTxn, txnAllowed},
		{"consumer groups", compareConsumer, consumerAllowed},
		{"share groups", compareShare, shareAllowed},
		{"streams groups", compareStreams, streamsAllowed},
		{"configs", compareConfigs, configsAllowed},
		{"topics", compareTopics, topicsAllowed},
		{"records", compareRecords, recordsAllowed},
		{"brokers", compareBrokers, brokersAllowed},
		{"proofs", compareProofs, proofsAllowed},
		{"security", compareSecurity, securityAllowed},
		{"share state", compareShareState, shareStateAllowed},
		{"telemetry", compareTelemetry, telemetryAllowed},
	} {
		t.Run(one.name, func(t *testing.T) { compare(t, sides, one.allowed, one.scenario) })
	}
	t.Run("everything was asked", func(t *testing.T) { everythingAsked(t, sides) })
}

var versionsAllowed []allowance

// compareVersions: what ApiVersions tells of the keys.
func compareVersions(s *side) {
	for _, k := range s.versions().ApiKeys {
		s.transcript = append(s.transcript, said{"versions", kmsg.NameForKey(k.ApiKey), fmt.Sprintf("%d to %d", k.MinVersion, k.MaxVersion)})
	}
}

// everythingAsked fails for each key and version that both sides advertise and no scenario has sent.
func everythingAsked(t *testing.T, sides [2]*side) {
	for _, s := range sides {
		for key, r := range s.ranges {
			for v := r[0]; v <= r[1]; v++ {
				if key == 0 && v < 3 {
					continue // advertised for the sake of old clients, and refused
				}
				if !s.asked[[2]int16{key, v}] {
					t.Errorf("%s was never sent %s v%d", s.name, kmsg.NameForKey(key), v)
				}
			}
		}
	}
}

func (s *side) versions() *kmsg.ApiVersionsResponse {
	s.t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "compare", "1"
	return s.ask("main", req, 3).(*kmsg.ApiVersionsResponse)
}

// topic makes a topic and waits until it can be used.
func (s *side) topic(name string, partitions int32) (id [16]byte) {
	s.t.Helper()
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	create.Topics = append(create.Topics, topic)
	create.TimeoutMillis = int32(callTimeout.Milliseconds())
	resp := s.ask("main", create, 7).(*kmsg.CreateTopicsResponse)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		s.t.Fatalf("%s: create %s: %v", s.name, name, kerr.ErrorForCode(code))
	}
	metadata := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = kmsg.StringPtr(name)
	metadata.Topics = append(metadata.Topics, mt)
	until(s, "topic "+name, metadata, 12, func(r *kmsg.MetadataResponse) bool {
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != int(partitions) {
			return false
		}
		for _, p := range r.Topics[0].Partitions {
			if p.ErrorCode != 0 || p.Leader != 1 {
				return false
			}
		}
		return true
	})
	list := kmsg.NewPtrListOffsetsRequest()
	list.ReplicaID = -1
	lt := kmsg.NewListOffsetsRequestTopic()
	lt.Topic = name
	for p := range partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp = p, -1
		lt.Partitions = append(lt.Partitions, one)
	}
	list.Topics = append(list.Topics, lt)
	until(s, "leaders of "+name, list, 8, func(r *kmsg.ListOffsetsResponse) bool {
		return !slices.ContainsFunc(r.Topics[0].Partitions, func(p kmsg.ListOffsetsResponseTopicPartition) bool { return p.ErrorCode != 0 })
	})
	return resp.Topics[0].TopicID
}

// coordinator waits until the coordinator of a key serves. Kind: 0 group, 1 transaction, 2 share.
func (s *side) coordinator(kind int8, key string) {
	s.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKeys = kind, []string{key}
	until(s, "coordinator of "+key, find, s.latest(10), func(r *kmsg.FindCoordinatorResponse) bool {
		return len(r.Coordinators) == 1 && r.Coordinators[0].ErrorCode == 0
	})
	switch kind {
	case 0:
	case 1:
		describe := kmsg.NewPtrDescribeTransactionsRequest()
		describe.TransactionalIDs = []string{key}
		until(s, "loaded", describe, 0, func(r *kmsg.DescribeTransactionsResponse) bool {
			return len(r.TransactionStates) == 1 && r.TransactionStates[0].ErrorCode == kerr.TransactionalIDNotFound.Code
		})
		return
	default:
		return
	}
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID = key, "nobody"
	until(s, "loaded", beat, s.latest(12), func(r *kmsg.HeartbeatResponse) bool {
		return r.ErrorCode == kerr.UnknownMemberID.Code || r.ErrorCode == kerr.GroupIDNotFound.Code
	})
}
