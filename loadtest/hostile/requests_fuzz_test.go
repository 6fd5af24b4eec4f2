package hostile

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// fuzzRequest sends requests of one API, in all its versions, to a whole broker whose disk
// and network are in memory. An input is a version, a script that grows a well-formed
// request, and edits of its bytes. A key that is not served has its connections closed.
func fuzzRequest(f *testing.F, key int16) {
	least, greatest := versionsOf(key)
	r := rand.New(rand.NewPCG(uint64(key), 7))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
			if r.IntN(3) > 0 {
				b[i] %= 16
			}
		}
		return b
	}
	for version := least; version <= greatest; version++ {
		f.Add(uint8(version-least), []byte{}, []byte{})
		f.Add(uint8(version-least), noise(60), []byte{})
		f.Add(uint8(version-least), []byte{}, noise(editBytes))
		f.Add(uint8(version-least), []byte{}, []byte{9, 0, byte(version), byte(r.IntN(len(hostileLengths))), 9})
	}
	var w *world // that of this process; a fuzzing engine has several
	f.Cleanup(func() {
		if w != nil {
			w.stop(f)
		}
	})
	f.Fuzz(func(t *testing.T, version uint8, decisions, edits []byte) {
		if w != nil && w.requests >= worldLife {
			w.stop(t)
			w = nil
		}
		if w == nil {
			w = newWorld(t)
		}
		a := api{key, least + int16(version)%(greatest-least+1)}
		req := grow(a, &script{b: decisions, id: w.id})
		w.try(t, a, edit(req, wire.Flexible(a.key, a.version), edits))
	})
}

// versionsOf returns the versions that are worth a try.
func versionsOf(key int16) (least, greatest int16) {
	switch key {
	case wire.KeyProduce:
		return wire.MinProduceVersion, wire.MaxProduceVersion
	case wire.KeyFetch:
		return wire.MinFetchVersion, wire.MaxFetchVersion
	}
	if least, greatest, ok := wire.ShapeVersions(key); ok {
		return least, greatest
	}
	return 0, kmsg.RequestForKey(key).MaxVersion()
}

// The targets: one for each API of Kafka's broker listener.
func FuzzRequestProduce(f *testing.F)                               { fuzzRequest(f, 0) }
func FuzzRequestFetch(f *testing.F)                                 { fuzzRequest(f, 1) }
func FuzzRequestListOffsets(f *testing.F)                           { fuzzRequest(f, 2) }
func FuzzRequestMetadata(f *testing.F)                              { fuzzRequest(f, 3) }
func FuzzRequestOffsetCommit(f *testing.F)                          { fuzzRequest(f, 8) }
func FuzzRequestOffsetFetch(f *testing.F)                           { fuzzRequest(f, 9) }
func FuzzRequestFindCoordinator(f *testing.F)                       { fuzzRequest(f, 10) }
func FuzzRequestJoinGroup(f *testing.F)                             { fuzzRequest(f, 11) }
func FuzzRequestHeartbeat(f *testing.F)                             { fuzzRequest(f, 12) }
func FuzzRequestLeaveGroup(f *testing.F)                            { fuzzRequest(f, 13) }
func FuzzRequestSyncGroup(f *testing.F)                             { fuzzRequest(f, 14) }
func FuzzRequestDescribeGroups(f *testing.F)                        { fuzzRequest(f, 15) }
func FuzzRequestListGroups(f *testing.F)                            { fuzzRequest(f, 16) }
func FuzzRequestSaslHandshake(f *testing.F)                         { fuzzRequest(f, 17) }
func FuzzRequestApiVersions(f *testing.F)                           { fuzzRequest(f, 18) }
func FuzzRequestCreateTopics(f *testing.F)                          { fuzzRequest(f, 19) }
func FuzzRequestDeleteTopics(f *testing.F)                          { fuzzRequest(f, 20) }
func FuzzRequestDeleteRecords(f *testing.F)                         { fuzzRequest(f, 21) }
func FuzzRequestInitProducerId(f *testing.F)                        { fuzzRequest(f, 22) }
func FuzzRequestOffsetForLeaderEpoch(f *testing.F)                  { fuzzRequest(f, 23) }
func FuzzRequestAddPartitionsToTxn(f *testing.F)                    { fuzzRequest(f, 24) }
func FuzzRequestAddOffsetsToTxn(f *testing.F)                       { fuzzRequest(f, 25) }
func FuzzRequestEndTxn(f *testing.F)                                { fuzzRequest(f, 26) }
func FuzzRequestWriteTxnMarkers(f *testing.F)                       { fuzzRequest(f, 27) }
func FuzzRequestTxnOffsetCommit(f *testing.F)                       { fuzzRequest(f, 28) }
func FuzzRequestDescribeAcls(f *testing.F)                          { fuzzRequest(f, 29) }
func FuzzRequestCreateAcls(f *testing.F)                            { fuzzRequest(f, 30) }
func FuzzRequestDeleteAcls(f *testing.F)                            { fuzzRequest(f, 31) }
func FuzzRequestDescribeConfigs(f *testing.F)                       { fuzzRequest(f, 32) }
func FuzzRequestAlterConfigs(f *testing.F)                          { fuzzRequest(f, 33) }
func FuzzRequestAlterReplicaLogDirs(f *testing.F)                   { fuzzRequest(f, 34) }
func FuzzRequestDescribeLogDirs(f *testing.F)                       { fuzzRequest(f, 35) }
func FuzzRequestSaslAuthenticate(f *testing.F)                      { fuzzRequest(f, 36) }
func FuzzRequestCreatePartitions(f *testing.F)                      { fuzzRequest(f, 37) }
func FuzzRequestCreateDelegationToken(f *testing.F)                 { fuzzRequest(f, 38) }
func FuzzRequestRenewDelegationToken(f *testing.F)                  { fuzzRequest(f, 39) }
func FuzzRequestExpireDelegationToken(f *testing.F)                 { fuzzRequest(f, 40) }
func FuzzRequestDescribeDelegationToken(f *testing.F)               { fuzzRequest(f, 41) }
func FuzzRequestDeleteGroups(f *testing.F)                          { fuzzRequest(f, 42) }
func FuzzRequestElectLeaders(f *testing.F)                          { fuzzRequest(f, 43) }
func FuzzRequestIncrementalAlterConfigs(f *testing.F)               { fuzzRequest(f, 44) }
func FuzzRequestAlterPartitionReassignments(f *testing.F)           { fuzzRequest(f, 45) }
func FuzzRequestListPartitionReassignments(f *testing.F)            { fuzzRequest(f, 46) }
func FuzzRequestOffsetDelete(f *testing.F)                          { fuzzRequest(f, 47) }
func FuzzRequestDescribeClientQuotas(f *testing.F)                  { fuzzRequest(f, 48) }
func FuzzRequestAlterClientQuotas(f *testing.F)                     { fuzzRequest(f, 49) }
func FuzzRequestDescribeUserScramCredentials(f *testing.F)          { fuzzRequest(f, 50) }
func FuzzRequestAlterUserScramCredentials(f *testing.F)             { fuzzRequest(f, 51) }
func FuzzRequestDescribeQuorum(f *testing.F)                        { fuzzRequest(f, 55) }
func FuzzRequestUpdateFeatures(f *testing.F)                        { fuzzRequest(f, 57) }
func FuzzRequestDescribeCluster(f *testing.F)                       { fuzzRequest(f, 60) }
func FuzzRequestDescribeProducers(f *testing.F)                     { fuzzRequest(f, 61) }
func FuzzRequestUnregisterBroker(f *testing.F)                      { fuzzRequest(f, 64) }
func FuzzRequestDescribeTransactions(f *testing.F)                  { fuzzRequest(f, 65) }
func FuzzRequestListTransactions(f *testing.F)                      { fuzzRequest(f, 66) }
func FuzzRequestConsumerGroupHeartbeat(f *testing.F)                { fuzzRequest(f, 68) }
func FuzzRequestConsumerGroupDescribe(f *testing.F)                 { fuzzRequest(f, 69) }
func FuzzRequestGetTelemetrySubscriptions(f *testing.F)             { fuzzRequest(f, 71) }
func FuzzRequestPushTelemetry(f *testing.F)                         { fuzzRequest(f, 72) }
func FuzzRequestListConfigResources(f *testing.F)                   { fuzzRequest(f, 74) }
func FuzzRequestDescribeTopicPartitions(f *testing.F)               { fuzzRequest(f, 75) }
func FuzzRequestShareGroupHeartbeat(f *testing.F)                   { fuzzRequest(f, 76) }
func FuzzRequestShareGroupDescribe(f *testing.F)                    { fuzzRequest(f, 77) }
func FuzzRequestShareFetch(f *testing.F)                            { fuzzRequest(f, 78) }
func FuzzRequestShareAcknowledge(f *testing.F)                      { fuzzRequest(f, 79) }
func FuzzRequestAddRaftVoter(f *testing.F)                          { fuzzRequest(f, 80) }
func FuzzRequestRemoveRaftVoter(f *testing.F)                       { fuzzRequest(f, 81) }
func FuzzRequestInitializeShareGroupState(f *testing.F)             { fuzzRequest(f, 83) }
func FuzzRequestReadShareGroupState(f *testing.F)                   { fuzzRequest(f, 84) }
func FuzzRequestWriteShareGroupState(f *testing.F)                  { fuzzRequest(f, 85) }
func FuzzRequestDeleteShareGroupState(f *testing.F)                 { fuzzRequest(f, 86) }
func FuzzRequestReadShareGroupStateSummary(f *testing.F)            { fuzzRequest(f, 87) }
func FuzzRequestStreamsGroupHeartbeat(f *testing.F)                 { fuzzRequest(f, 88) }
func FuzzRequestStreamsGroupDescribe(f *testing.F)                  { fuzzRequest(f, 89) }
func FuzzRequestDescribeShareGroupOffsets(f *testing.F)             { fuzzRequest(f, 90) }
func FuzzRequestAlterShareGroupOffsets(f *testing.F)                { fuzzRequest(f, 91) }
func FuzzRequestDeleteShareGroupOffsets(f *testing.F)               { fuzzRequest(f, 92) }
func FuzzRequestStreamsGroupTopologyDescriptionUpdate(f *testing.F) { fuzzRequest(f, 93) }

// TestEveryRequestIsFuzzed: there is a target for each key that is served, and it has the
// key's name.
func TestEveryRequestIsFuzzed(t *testing.T) {
	targets := make(map[string]bool)
	file, err := parser.ParseFile(token.NewFileSet(), "requests_fuzz_test.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		fn, ok := n.(*ast.FuncDecl)
		if !ok {
			return true
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "fuzzRequest" {
				key, err := strconv.Atoi(call.Args[1].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				if want := "FuzzRequest" + wire.KeyName(int16(key)); fn.Name.Name != want {
					t.Errorf("%s fuzzes %s", fn.Name.Name, wire.KeyName(int16(key)))
				}
				targets[fmt.Sprint(key)] = true
			}
			return true
		})
		return false
	})
	n := start(t)
	for _, a := range n.served(t) {
		if !targets[fmt.Sprint(a.key)] {
			t.Errorf("%s has no target", wire.KeyName(a.key))
			targets[fmt.Sprint(a.key)] = true
		}
	}
}
