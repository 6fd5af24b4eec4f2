package archtest

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/config"
)

// derived are the fields through which the value of another is read.
var derived = map[string][]string{
	"ListenersText":   {"Listeners"},
	"AdvertisedText":  {"Advertised"},
	"ProtocolMapText": {"Listeners"},
	"TimestampType":   {"LogAppendTime"},
	"CleanupPolicy":   {"Delete", "Compact"},
}

// A setting that the documentation does not mark as being without effect is read
// by somebody. It is looked for by the name of its field.
func TestSettingsAreRead(t *testing.T) {
	var code strings.Builder
	seen := map[string]bool{}
	for _, f := range sources(t) {
		if f.dir == "broker/config" || seen[f.dir+"/"+f.name] {
			continue
		}
		seen[f.dir+"/"+f.name] = true
		text, err := os.ReadFile(filepath.Join("..", "..", f.dir, f.name))
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	read := func(field string) bool {
		return regexp.MustCompile(`\.` + field + `\b`).MatchString(code.String())
	}
	for _, bound := range []struct {
		of     reflect.Type
		tag    string
		lookup func(string) (*config.Setting, bool)
	}{{reflect.TypeFor[config.Config](), "key", config.LookupBroker}, {reflect.TypeFor[config.TopicConfig](), "topic", config.LookupTopic}} {
		for i := range bound.of.NumField() {
			field := bound.of.Field(i)
			key, ok := field.Tag.Lookup(bound.tag)
			if !ok {
				continue
			}
			s, known := bound.lookup(key)
			if !known || s.NoEffect || s.Later {
				continue
			}
			found := read(field.Name)
			for _, through := range derived[field.Name] {
				found = found || read(through)
			}
			if !found {
				t.Errorf("%s: no package reads %s.%s; use it, or mark the row NoEffect or Later", key, bound.of.Name(), field.Name)
			}
		}
	}
}
