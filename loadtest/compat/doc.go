// Package compat runs clients that others wrote against the real program: Apache Kafka's Java client and command-line tools, librdkafka
// (through confluent-kafka and kcat), kafka-python, aiokafka, KafkaJS, franz-go and Sarama; and the frameworks built on them: Kafka Streams,
// Kafka Connect, MirrorMaker 2, Apache Flink. It has tests only, in a module of its own, and meets the broker on the wire alone.
//
// What they cover, one file each:
//
//	exchange_test.go  every client reads what every client wrote, with every codec; from the beginning, an offset, a time
//	group_test.go     three members, one of them killed; commit and resume; by the classic and by the consumer protocol
//	kcat_test.go      kcat's own way to produce, consume and be a member of a group
//	tools_test.go     kafka-topics, kafka-configs, kafka-consumer-groups and the others, console clients, performance tools
//	tiered_test.go    records that exist in a real S3 server only; verification; deletion down to the bucket
//	crash_test.go     SIGKILL every few seconds under idempotent producers: all that was acknowledged is there, once, in order
//	outage_test.go    the S3 server is away: produce on, be held back, be refused, drain
//	bigfile_test.go   a file through the broker and the bucket and back, byte for byte
//	streams_test.go   a Kafka Streams application with joins, windows and state, exactly once, over the death of an instance and a broker
//	connect_test.go   Kafka Connect from a PostgreSQL to a topic and back, over the death of a worker and a broker
//	mirror_test.go    MirrorMaker 2 from Apache Kafka and to it: records, settings, offsets of groups
//	flink_test.go     a job of Apache Flink that counts exactly once, over the death of its process and of a broker
//	secure_test.go    every mechanism of SASL, TLS, certificates, delegation tokens; under load while certificates and proofs change
//	queue_test.go     a queue of jobs by a share group of the Java client
//	quickstart_test.go  what a newcomer does in the first hour, by Apache Kafka's own quick start
//	compare_tools_*   every subcommand of Apache Kafka's command-line tools on both, and what they print line by line
//	client_metrics_test.go  the Java client and franz-go push their metrics, which a collector gets
//	compare_*_test.go the same calls to Apache Kafka and to the broker, in every version, and their answers field by field
//
// Each client is a program that speaks the protocol of clients/worker, so that one test serves all and a member can be killed.
//
// The frameworks run on three brokers with a real S3 server (startSystem). A test of them that is to be tested itself runs on Apache Kafka
// instead: TIDELINE_TEST_REFERENCE.
//
// Everything is installed by the tests themselves, at pinned versions: Kafka's jars by scripts/kafka.sh, and into .tools/compat of the
// repository PostgreSQL's programs and Debezium's connectors (extras.xml), Python packages in a virtual environment and npm packages; kcat
// by apt-get. Needed beforehand: a JDK 17 with Maven, Python 3 with venv, Node 18 with npm. A client that cannot be had fails its tests;
// nothing is skipped.
//
// Environment:
//
//	TIDELINE_LONG=1         the long forms: minutes of crashes
//	TIDELINE_BIG_BYTES=N    the size of the big file (default 64 MiB; 1073741824 for 1 GiB)
//	TIDELINE_TEST_BINARY    the program to test instead of one built from the source
//	TIDELINE_TEST_RACE=1    the program is built with the race detector
//	TIDELINE_TEST_REFERENCE=1  Apache Kafka takes Tideline's place, in the tests of frameworks and in the comparison
//	TIDELINE_COMPARE_DIR    where the comparison writes all that both said
package compat
