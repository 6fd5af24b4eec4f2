package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

var consumerGroupsAllowed = []allowance{
	allow(`(uniform Stable|console-consumer 2) \d .* tideline=.*(uniform Stable|console-consumer 2) 1 `, "the epochs of a group begin with 1, not 2"),
}

// toolsConsumerGroups: kafka-consumer-groups and kafka-groups, for groups of the classic and of the consumer protocol, with members and
// without.
func toolsConsumerGroups(s *toolSide) {
	s.run("topics --create --topic read --partitions 2")
	s.run("console-producer --topic read --reader-property parse.key=true --reader-property key.separator=:", input("a:1\na:2\nb:3\nc:4\nd:5\n"))
	s.run("consumer-groups --list", only("old|new"))
	s.run("consumer-groups --describe --group nobody")
	s.run("consumer-groups --describe --group nobody --members")
	s.run("consumer-groups --describe --group nobody --state")
	for _, protocol := range []string{"classic", "consumer"} {
		group := map[string]string{"classic": "old", "consumer": "new"}[protocol]
		do := func(command string, ways ...toolWay) { s.run(strings.ReplaceAll(command, "GROUP", group), ways...) }
		member := s.start(fmt.Sprintf("console-consumer --topic read --group %s --from-beginning --command-property group.protocol=%s --command-property auto.commit.interval.ms=200", group, protocol), "")
		member.prints(5)
		do("consumer-groups --describe --group GROUP", again(`read\s+\d\s+[1-9]\s+\d+\s+0[\s\S]*read\s+\d\s+[1-9]\s+\d+\s+0`), inAnyOrder)
		do("consumer-groups --describe --group GROUP --offsets --verbose", inAnyOrder)
		do("consumer-groups --describe --group GROUP --members")
		do("consumer-groups --describe --group GROUP --members --verbose")
		do("consumer-groups --describe --group GROUP --state")
		do("consumer-groups --describe --group GROUP --state --verbose")
		do("consumer-groups --describe --all-groups --state", only("^"+group+" "))
		do("consumer-groups --reset-offsets --group GROUP --all-topics --to-earliest --execute")
		do("consumer-groups --delete-offsets --group GROUP --topic read")
		do("consumer-groups --delete --group GROUP")
		do("consumer-groups --list --state", only("^(GROUP|old|new) "), inAnyOrder)
		do("consumer-groups --list --state Stable", only("^(GROUP|old|new) "), inAnyOrder)
		do("consumer-groups --list --type", only("^(GROUP|old|new) "), inAnyOrder)
		do("consumer-groups --list --type "+protocol, only("^(GROUP|old|new) "), inAnyOrder)
		do("groups --list", only("^(GROUP|old|new) "), inAnyOrder)
		do("groups --list --group-type "+protocol, only("^(GROUP|old|new) "), inAnyOrder)
		do("groups --list --consumer", only("^(GROUP|old|new) "), inAnyOrder)
		do("groups --list --protocol consumer", only("^(GROUP|old|new) "), inAnyOrder)
		s.ended(member.stop(), inAnyOrder)
		do("consumer-groups --describe --group GROUP --state", again("Empty"))
		do("consumer-groups --describe --group GROUP --members")
		do("consumer-groups --describe --group GROUP", inAnyOrder)
		for _, how := range []string{
			"--to-earliest", "--to-latest", "--to-current", "--to-offset 1", "--to-offset 100", "--shift-by -1", "--shift-by 1", "--by-duration PT1H",
			"--to-datetime 2020-01-01T00:00:00.000", "--to-datetime 2100-01-01T00:00:00.000", "--to-datetime yesterday",
		} {
			do("consumer-groups --reset-offsets --group GROUP --topic read "+how+" --dry-run", inAnyOrder)
		}
		do("consumer-groups --reset-offsets --group GROUP --topic read:0 --to-offset 1 --execute")
		do("consumer-groups --describe --group GROUP", inAnyOrder)
		do("consumer-groups --reset-offsets --group GROUP --all-topics --to-latest --export --dry-run", inAnyOrder)
		s.file("reset.csv", "read,0,0\nread,1,1\n")
		do("consumer-groups --reset-offsets --group GROUP --from-file {files}/reset.csv --execute", inAnyOrder)
		do("consumer-groups --reset-offsets --group GROUP --topic missing --to-earliest --execute")
		do("consumer-groups --reset-offsets --group GROUP --topic read:9 --to-earliest --execute")
		do("consumer-groups --reset-offsets --group GROUP --topic read")
		do("consumer-groups --delete-offsets --group GROUP --topic read:0 --topic missing", inAnyOrder)
		do("consumer-groups --describe --group GROUP --offsets")
		do("consumer-groups --delete --group GROUP --group nobody")
		do("consumer-groups --list", only("^(old|new)$"))
	}
	s.run("consumer-groups --reset-offsets --group made --topic read --to-latest --execute", inAnyOrder)
	s.run("consumer-groups --describe --group made", inAnyOrder)
	s.run("consumer-groups --validate-regex 'a.*'")
	s.run("consumer-groups --validate-regex 'a['")
	s.run("consumer-groups --delete --group made")
	s.run("consumer-groups --delete-offsets --group nobody --topic read")
	s.run("topics --delete --topic read")
}

var shareGroupsAllowed = []allowance{
	allow(`--verbose: kafka=jobs .*( 3 queue:0,1| Stable 3 3 1) tideline=jobs `, "the epochs of a group begin with 1, not 2"),
	allow(`^share-groups --delete-offsets .*: kafka=.*(is not empty\.) tideline=.*is not empty`, "texts are our own"),
	allow(`^share-groups --describe --group jobs \(2\): kafka=jobs queue \d 0 0 tideline=jobs queue \d \d 0$`, "the start moves with what is acknowledged, not with the write after it"),
}

// toolsShareGroups: kafka-share-groups, kafka-console-share-consumer, kafka-verifiable-share-consumer.
func toolsShareGroups(s *toolSide) {
	s.run("topics --create --topic queue --partitions 2")
	s.run("share-groups --list", only("jobs"))
	s.run("share-groups --describe --group nobody")
	s.run("share-groups --describe --group nobody --members")
	s.run("share-groups --describe --group nobody --state")
	s.run("configs --alter --group jobs --add-config share.auto.offset.reset=earliest")
	s.run("console-producer --topic queue --reader-property parse.key=true --reader-property key.separator=:", input("a:1\na:2\nb:3\nc:4\nd:5\n"))
	member := s.start("console-share-consumer --topic queue --group jobs", "")
	member.prints(5)
	s.run("share-groups --describe --group jobs --members")
	s.run("share-groups --describe --group jobs --members --verbose")
	s.run("share-groups --describe --group jobs --state")
	s.run("share-groups --describe --group jobs --state --verbose")
	s.run("share-groups --describe --group jobs", again(`queue\s+\d\s+\d+\s+0[\s\S]*queue\s+\d\s+\d+\s+0`), inAnyOrder)
	s.run("share-groups --describe --group jobs --offsets --verbose", inAnyOrder)
	s.run("share-groups --describe --all-groups --state", only("jobs"))
	s.run("share-groups --list --state", only("jobs"))
	s.run("share-groups --list --state Stable", only("jobs"))
	s.run("groups --list --share", only("jobs"))
	s.run("groups --list --group-type share", only("jobs"))
	s.run("share-groups --reset-offsets --group jobs --topic queue --to-earliest --execute")
	s.run("share-groups --delete-offsets --group jobs --topic queue")
	s.run("share-groups --delete --group jobs")
	s.ended(member.stop(), inAnyOrder)
	s.run("share-groups --describe --group jobs --state", again("Empty"))
	s.run("share-groups --describe --group jobs", inAnyOrder)
	s.run("share-groups --reset-offsets --group jobs --topic queue --to-earliest --dry-run", inAnyOrder)
	s.run("share-groups --reset-offsets --group jobs --topic queue --to-earliest --execute", inAnyOrder)
	s.run("share-groups --describe --group jobs", inAnyOrder)
	s.run("share-groups --reset-offsets --group jobs --all-topics --to-latest --execute", inAnyOrder)
	s.run("share-groups --describe --group jobs --offsets", inAnyOrder)
	s.run("share-groups --reset-offsets --group jobs --topic queue:1 --to-datetime 2020-01-01T00:00:00.000 --execute", inAnyOrder)
	s.run("share-groups --reset-offsets --group jobs --topic missing --to-latest --execute", inAnyOrder)
	s.run("console-share-consumer --topic queue --group jobs --max-messages 1 --timeout-ms 30000", inAnyOrder)
	s.run("console-share-consumer --topic queue --group jobs --timeout-ms 3000")
	s.run("share-groups --delete-offsets --group jobs --topic queue --topic missing", inAnyOrder)
	s.run("share-groups --describe --group jobs")
	s.run("share-groups --delete --group jobs --group nobody")
	s.run("verifiable-share --topic queue --group-id checked --max-messages 5 --offset-reset-strategy earliest --acknowledgement-mode sync", only("startup|shutdown|offset_reset"))
	s.run("share-groups --delete --group checked")
	s.run("share-consumer-perf --topic queue --num-records 0 --timeout 1000", only("^exit"))
	s.run("share-groups --delete --group perf-share-consumer", only("^exit"))
	s.run("share-groups --list", only("jobs|checked"))
	s.run("topics --delete --topic queue")
}

var streamsGroupsAllowed = []allowance{
	mayDiffer(`--verbose: kafka=counting .*(Stable \d \d 2|TARGET-ACTIVE)`, "epochs go up with each change, and threads join together or one after the other"),
}

// toolsStreamsGroups: kafka-streams-groups on an application that runs, and on one that has ended; kafka-streams-application-reset.
func toolsStreamsGroups(s *toolSide) {
	s.run("topics --create --topic words --partitions 2")
	s.run("topics --create --topic counted --partitions 2")
	tasks := hide(`:\[[01]\];`) // whoever joins first has partition 0
	s.run("streams-groups --list", only("counting"))
	s.run("streams-groups --describe --group nobody")
	path := strings.Join([]string{classes(s.t), filepath.Join(jars(s.t), "*"), filepath.Join(extras(s.t), "lib", "*")}, string(os.PathListSeparator))
	argv := append(slices.Clone(javaFlags), "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", path, "WordCount", s.addr, "counting", s.t.TempDir())
	app := startSession(s.t, "streams application", exec.Command("java", argv...))
	waitFor(s.t, workerTimeout, func() string { return fmt.Sprintf("the application runs: %q", app.output.all()) }, []*lineBuffer{app.output}, func() bool {
		return slices.ContainsFunc(app.output.all(), func(line []byte) bool { return string(line) == "RUNNING" })
	})
	s.run("console-producer --topic words --reader-property parse.key=true --reader-property key.separator=:", input("a:alpha\na:beta\nb:gamma\nd:delta\n"))
	s.run("streams-groups --describe --group counting", again(`\A[^\n]*\n([^\n]*\s0\s*\n?){4}\z`), inAnyOrder)
	// Each transaction has a marker, and how many there are depends on when records come.
	s.run("streams-groups --describe --group counting --offsets --verbose", hide(`repartition \d \d+ 0 \d+`), inAnyOrder)
	s.run("streams-groups --list --state", only("counting"))
	s.run("streams-groups --list --state Stable", only("counting"))
	s.run("groups --list --streams", only("counting"))
	s.run("streams-groups --describe --group counting --state")
	s.run("streams-groups --describe --group counting --state --verbose")
	s.run("streams-groups --describe --group counting --members", tasks, inAnyOrder)
	s.run("streams-groups --describe --group counting --members --verbose", tasks, inAnyOrder)
	s.run("streams-groups --delete --group counting")
	s.run("streams-groups --reset-offsets --group counting --all-input-topics --to-earliest --dry-run", inAnyOrder)
	app.finish()
	s.run("streams-groups --describe --group counting --state", again("Empty"))
	s.run("streams-groups --describe --group counting --members")
	s.run("streams-groups --reset-offsets --group counting --input-topic words --to-earliest --dry-run", inAnyOrder)
	s.run("streams-groups --reset-offsets --group counting --all-input-topics --to-latest --execute", inAnyOrder)
	s.run("streams-groups --delete-offsets --group counting --input-topic words", inAnyOrder)
	s.run("streams-groups --delete --group counting", inAnyOrder)
	s.run("streams-groups --list", only("counting"))
	s.run("streams-reset --application-id counting --input-topics words --dry-run", inAnyOrder)
	s.run("streams-reset --application-id counting --input-topics words", inAnyOrder)
	s.run("topics --list", only("counting|words"))
	s.run("topics --delete --topic 'words|counted|counting.*'")
}

// toolsTransactions: kafka-transactions on a transaction that is open.
func toolsTransactions(s *toolSide) {
	s.run("topics --create --topic sold")
	s.run("transactions list", only("sale"))
	s.run("transactions describe --transactional-id nobody")
	open := func(id string) {
		c, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.TransactionalID(id), kgo.DefaultProduceTopic("sold"), kgo.RequestTimeoutOverhead(callTimeout))
		if err == nil {
			s.t.Cleanup(c.Close)
			err = c.BeginTransaction()
		}
		if err == nil {
			err = c.ProduceSync(s.t.Context(), kgo.StringRecord("one"), kgo.StringRecord("two")).FirstErr()
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	producer := hide(`\b(PRODUCER|\d{1,19})\b`)
	open("sale")
	s.run("transactions list", only("sale|^Trans"), hide(`(sale 1) \d+`))
	s.run("transactions list --duration-filter 3600000", only("sale"))
	s.run("transactions list --transactional-id-pattern 's.*'", only("sale|^Trans"), hide(`(sale 1) \d+`))
	s.run("transactions describe --transactional-id sale", producer)
	s.run("transactions describe-producers --topic sold --partition 0", producer)
	s.run("transactions describe-producers --topic sold --partition 0 --broker-id 1", producer)
	s.run("transactions find-hanging --broker-id 1")
	s.run("transactions find-hanging --topic sold --partition 0 --max-transaction-timeout 1")
	s.run("get-offsets --topic sold")
	s.run("console-consumer --topic sold --from-beginning --isolation-level read_committed --timeout-ms 2000")
	s.run("transactions abort --topic sold --partition 0 --start-offset 7")
	s.run("transactions abort --topic sold --partition 0 --start-offset 0")
	s.run("transactions describe-producers --topic sold --partition 0", producer)
	open("second")
	s.run("transactions forceTerminateTransaction --transactionalId second")
	s.run("transactions describe --transactional-id second", again("Empty"), producer)
	s.run("transactions forceTerminateTransaction --transactionalId nobody")
	s.run("topics --delete --topic sold")
}
