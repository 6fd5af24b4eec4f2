package compat

import (
	"fmt"
	"regexp"
	"strings"
)

// toolsACLs: kafka-acls.
func toolsACLs(s *toolSide) {
	// Bindings that are alike but for one part come in the order of a hash table.
	do := func(command string, ways ...toolWay) { s.run(command, append(ways, inAnyOrder)...) }
	do("acls --list")
	do("acls --add --allow-principal User:alice --operation Read --operation Describe --topic orders")
	do("acls --add --allow-principal User:bob --allow-host 10.0.0.1 --producer --topic orders --transactional-id pay --idempotent")
	do("acls --add --allow-principal User:carol --consumer --topic ord --group read --resource-pattern-type prefixed")
	do("acls --add --deny-principal User:mallory --deny-host 10.0.0.2 --operation All --cluster")
	do("acls --add --allow-principal User:alice --operation CreateTokens --user-principal User:bob")
	do("acls --add --allow-principal User:alice --operation Describe --delegation-token token")
	do("acls --add --allow-principal User:* --operation Describe --topic *")
	do("acls --add --allow-principal alice --operation Read --topic orders")
	do("acls --add --allow-principal User:alice --operation Write --group read")
	do("acls --add --allow-principal User:alice --operation Fly --topic orders")
	do("acls --add --allow-principal User:alice --operation Read --topic orders --resource-pattern-type match")
	do("acls --add --topic orders")
	do("acls --list")
	do("acls --list --topic orders")
	do("acls --list --topic orders --resource-pattern-type match")
	do("acls --list --topic orders --resource-pattern-type any")
	do("acls --list --topic ord --resource-pattern-type prefixed")
	do("acls --list --group reading --resource-pattern-type match")
	do("acls --list --cluster")
	do("acls --list --transactional-id pay")
	do("acls --list --principal User:alice")
	do("acls --list --principal User:bob --topic orders")
	do("acls --remove --allow-principal User:alice --operation Read --topic orders --force")
	do("acls --list --topic orders")
	do("acls --remove --topic orders", input("n\n"))
	do("acls --remove --topic orders", input("y\n"))
	do("acls --remove --allow-principal User:carol --consumer --topic ord --group read --resource-pattern-type prefixed --force")
	do("acls --remove --topic orders --force")
	do("acls --list")
	for _, rest := range []string{"--cluster", "--topic *", "--transactional-id *", "--transactional-id pay", "--user-principal User:bob", "--delegation-token token"} {
		do("acls --remove --force " + rest)
	}
	do("acls --list")
}

// toolsQuotas: kafka-configs for users, clients and addresses.
func toolsQuotas(s *toolSide) {
	s.run("configs --alter --entity-type users --entity-name alice --add-config producer_byte_rate=1000000,consumer_byte_rate=2000000")
	s.run("configs --alter --user alice --client app --add-config request_percentage=50")
	s.run("configs --alter --user alice --client-defaults --add-config request_percentage=60.5")
	s.run("configs --alter --client app --add-config controller_mutation_rate=10")
	s.run("configs --alter --client-defaults --add-config controller_mutation_rate=20")
	s.run("configs --alter --user-defaults --add-config producer_byte_rate=3000000")
	s.run("configs --alter --entity-type ips --entity-name 127.0.0.9 --add-config connection_creation_rate=100")
	s.run("configs --alter --ip-defaults --add-config connection_creation_rate=1000")
	s.run("configs --alter --user alice --add-config producer_byte_rate=-1")
	s.run("configs --alter --user alice --add-config producer_byte_rate=fast")
	s.run("configs --alter --user alice --add-config retention.ms=1")
	s.run("configs --alter --user alice --add-config connection_creation_rate=1")
	s.run("configs --alter --ip no.such.host.invalid --add-config connection_creation_rate=1", inAnyOrder)
	for _, who := range []string{
		"--entity-type users", "--entity-type clients", "--entity-type ips", "--entity-type users --entity-type clients", "--user alice", "--user alice --client app",
		"--user alice --client-defaults", "--user-defaults", "--client app", "--client-defaults", "--ip 127.0.0.9", "--ip-defaults", "--user nobody",
	} {
		s.run("configs --describe "+who, again(""), inAnyOrder)
	}
	s.run("configs --alter --user alice --delete-config producer_byte_rate,consumer_byte_rate")
	s.run("configs --alter --user alice --delete-config producer_byte_rate")
	s.run("configs --alter --user alice --client app --delete-config request_percentage")
	s.run("configs --alter --user alice --client-defaults --delete-config request_percentage")
	s.run("configs --alter --client app --delete-config controller_mutation_rate")
	s.run("configs --alter --client-defaults --delete-config controller_mutation_rate")
	s.run("configs --alter --user-defaults --delete-config producer_byte_rate")
	s.run("configs --alter --ip 127.0.0.9 --delete-config connection_creation_rate")
	s.run("configs --alter --ip-defaults --delete-config connection_creation_rate")
	s.run("configs --describe --entity-type users", inAnyOrder)
}

// toolsUsers: kafka-configs for the credentials of SCRAM users.
func toolsUsers(s *toolSide) {
	s.run("configs --describe --user dora")
	s.run("configs --alter --user dora --add-config 'SCRAM-SHA-256=[iterations=8192,password=secret]'")
	s.run("configs --alter --user dora --add-config 'SCRAM-SHA-512=[password=secret]'")
	both := hide(`SCRAM-SHA-(256=iterations=8192|512=iterations=4096), SCRAM-SHA-(256=iterations=8192|512=iterations=4096)`)
	s.run("configs --describe --user dora", both)
	s.run("configs --describe --entity-type users", both, inAnyOrder)
	s.run("configs --alter --user dora --add-config 'SCRAM-SHA-256=[iterations=100,password=secret]'")
	s.run("configs --alter --user dora --add-config 'SCRAM-SHA-256=[iterations=8192]'")
	s.run("configs --alter --user dora --add-config 'SCRAM-SHA-1=[password=secret]'")
	s.run("configs --alter --user-defaults --add-config 'SCRAM-SHA-256=[password=secret]'")
	s.run("configs --alter --user dora --delete-config SCRAM-SHA-256")
	s.run("configs --describe --user dora")
	s.run("configs --alter --user dora --delete-config SCRAM-SHA-256")
	s.run("configs --alter --user dora --delete-config SCRAM-SHA-512")
	s.run("configs --describe --user dora")
}

// toolsTokens: kafka-delegation-tokens, by a user who has said who it is.
func toolsTokens(s *toolSide) {
	jaas := func(name, password string) string {
		return "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n" +
			fmt.Sprintf("sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=%q password=%q;\n", name, password)
	}
	s.file("admin.properties", jaas("admin", "admin-secret"))
	s.file("nobody.properties", "client.id=nobody\n")
	s.file("wrong.properties", jaas("admin", "guessed"))
	const on = " --bootstrap-server {sasl} --command-config {files}/admin.properties"
	secret := hide(`[A-Za-z0-9+/]{60,}={0,2}`)
	s.run("delegation-tokens --create --max-life-time-period -1 --command-config {files}/nobody.properties", only("Exception|^exit"))
	s.run("delegation-tokens --describe --bootstrap-server {sasl} --command-config {files}/wrong.properties", only("Exception|^exit"))
	s.run("delegation-tokens --describe"+on, secret)
	made := s.run("delegation-tokens --create --max-life-time-period -1 --renewer-principal User:bob --renewer-principal User:carol"+on, secret)
	s.run("delegation-tokens --create --max-life-time-period 86400000 --owner-principal User:dora"+on, secret)
	s.run("delegation-tokens --describe --owner-principal User:admin"+on, secret, again(`Total number of tokens : 2\b`), inAnyOrder)
	s.run("delegation-tokens --describe"+on, secret, inAnyOrder)
	s.run("delegation-tokens --describe --owner-principal User:nobody"+on, secret)
	hmac := regexp.MustCompile(`[A-Za-z0-9+/]{60,}={0,2}`).FindString(strings.Join(made.out, "\n"))
	s.as("delegation-tokens --renew --renew-time-period 3600000", "delegation-tokens --renew --renew-time-period 3600000 --hmac "+hmac+on, secret)
	s.as("delegation-tokens --renew of an unknown one", "delegation-tokens --renew --renew-time-period -1 --hmac AAAA"+on, only("Exception|^exit"))
	s.as("delegation-tokens --expire", "delegation-tokens --expire --expiry-time-period -1 --hmac "+hmac+on, secret)
	// Apache Kafka shows it until its brokers have heard.
	s.run("delegation-tokens --describe --owner-principal User:admin"+on, secret, again(`Total number of tokens : 1\b`), inAnyOrder)
}

// toolsClientMetrics: kafka-client-metrics.
func toolsClientMetrics(s *toolSide) {
	s.run("client-metrics --list")
	s.run("client-metrics --alter --name slow --interval 60000 --metrics org.apache.kafka.producer.,org.apache.kafka.consumer. --match client_id=app,client_source_address=127.0.0.1")
	s.run("client-metrics --describe --name slow", again("60000"), inAnyOrder)
	s.run("client-metrics --list", again("slow"))
	s.run("client-metrics --describe", inAnyOrder)
	s.run("client-metrics --alter --generate-name --interval 30000", hide(`for [A-Za-z0-9_-]{22}\.$`))
	s.run("client-metrics --alter --name slow --interval 1")
	s.run("client-metrics --alter --name slow --match no_such_selector=x")
	s.run("client-metrics --alter --name slow --interval '' --metrics ''")
	s.run("client-metrics --describe --name slow", inAnyOrder)
	s.run("client-metrics --describe --name missing")
	s.run("configs --describe --entity-type client-metrics --entity-name slow", inAnyOrder)
	s.run("configs --alter --client-metrics slow --add-config interval.ms=45000")
	s.run("configs --describe --client-metrics slow", again("45000"), inAnyOrder)
	s.run("client-metrics --delete --name slow")
	s.run("client-metrics --delete --name missing")
	s.run("client-metrics --describe --name slow")
}
