package transport

import (
	"errors"
	"strings"
	"testing"
)

// The examples of Kafka's documentation and of its tests.
func TestRules(t *testing.T) {
	const serverRules = `RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/, RULE:^CN=(.*?), OU=(.*?), O=(.*?), L=(.*?), ST=(.*?), C=(.*?)$/$1@$2/L, RULE:^cn=(.*?),ou=(.*?),dc=(.*?),dc=(.*?)$/$1@$2/U, RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U,DEFAULT`
	for _, c := range [][3]string{
		{serverRules, "CN=kafka-server1,OU=ServiceUsers,O=X", "kafka-server1"},
		{serverRules, "CN=kafka1, OU=SME, O=mycp, L=Fulton, ST=MD, C=US", "kafka1@sme"},
		{serverRules, "cn=kafka1,ou=SME,dc=mycp,dc=com", "KAFKA1@SME"},
		{serverRules, "O=x,CN=abc.d", "ABC.D"},
		{serverRules, "T=1", "T=1"},
		{"DEFAULT", "CN=a,O=b", "CN=a,O=b"},
		{`RULE:^CN=(.*?),.*$/$1\/x/`, "CN=a,O=b", "a/x"},
		{`RULE:CN=([^,]*),O=([^,]*)/$2-$1-$3-$12/`, "CN=a,O=b", "b-a-$3-a2"},
		{`RULE:(CN=[A-Z]\/[0-9])/<$1>/L`, "CN=A/1", "<cn=a/1>"},
		{`RULE:^CN=(.*?)$/$$1\$1/`, "CN=a", "$a$1"},
		{"RULE:a/b/,,DEFAULT", "x", "x"},
	} {
		rules, err := ParseRules(c[0])
		if err != nil {
			t.Errorf("%s: %v", c[0], err)
			continue
		}
		if got, err := rules.Name(c[1]); err != nil || got != c[2] {
			t.Errorf("%s of %s: %q, want %q: %v", c[0], c[1], got, c[2], err)
		}
	}
	for _, bad := range []string{
		"DEFAULTX", "RULE:", "RULE:a", "RULE:a/", "RULE:a/b", "RULE:a/b/X", "RULE:(a/b/", "rule:a/b/", "DEFAULT DEFAULT", "RULE:(?=a)a/b/",
		strings.Repeat("DEFAULT,", maxRules+1),
	} {
		if _, err := ParseRules(bad); err == nil {
			t.Errorf("%.40q is taken for rules", bad)
		}
	}
	rules, err := ParseRules("RULE:^CN=x$/y/")
	if err != nil {
		t.Fatal(err)
	}
	if name, err := rules.Name("CN=xx"); !errors.Is(err, ErrNoRule) {
		t.Errorf("a name that no rule takes is %q: %v", name, err)
	}
}

func FuzzRules(f *testing.F) {
	f.Add("RULE:^CN=(.*?),.*$/$1/L,DEFAULT", "CN=a,O=b")
	f.Add(`RULE:a\/b/\$1$10/U , DEFAULT`, "a/b")
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > 1<<10 || len(name) > 1<<10 {
			return
		}
		rules, err := ParseRules(text)
		if err != nil {
			return
		}
		first, err1 := rules.Name(name)
		second, err2 := rules.Name(name)
		if first != second || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q and %q", first, second)
		}
	})
}
