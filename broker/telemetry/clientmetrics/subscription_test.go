package clientmetrics

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		settings map[string]string
		want     error
	}{
		{map[string]string{}, nil},
		{map[string]string{"interval.ms": "100"}, nil},
		{map[string]string{"interval.ms": "3600000"}, nil},
		{map[string]string{"interval.ms": "99"}, ErrSetting},
		{map[string]string{"interval.ms": "3600001"}, ErrSetting},
		{map[string]string{"interval.ms": "soon"}, ErrValue},
		{map[string]string{"interval.ms": ""}, ErrValue},
		{map[string]string{"interval": "100"}, ErrSetting},
		{map[string]string{"metrics": "a., b.,*"}, nil},
		{map[string]string{"match": "client_id=a.*, client_software_name=x"}, nil},
		{map[string]string{"match": "client_id=b=="}, nil},
		{map[string]string{"match": "client_id"}, ErrValue},
		{map[string]string{"match": "client_id="}, ErrValue},
		{map[string]string{"match": "=b"}, ErrValue},
		{map[string]string{"match": "client_id=a=b"}, ErrValue},
		{map[string]string{"match": "client=b"}, ErrValue},
		{map[string]string{"match": "client_id=("}, ErrValue},
		{map[string]string{"match": `client_id=(a)\1`}, ErrValue},
	} {
		if _, err := Parse("s", test.settings); !errors.Is(err, test.want) {
			t.Errorf("%v: %v, want %v", test.settings, err, test.want)
		}
	}
	if _, err := Parse("", nil); !errors.Is(err, ErrSetting) {
		t.Errorf("without a name: %v", err)
	}
	s := parse(t, map[string]string{"metrics": " a. ,b. "})
	if s.Interval != 5*time.Minute || !slices.Equal(s.Metrics, []string{"a.", "b."}) {
		t.Errorf("%+v", s)
	}
}

func parse(t testing.TB, settings map[string]string) Subscription {
	t.Helper()
	s, err := Parse("s", settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMatches(t *testing.T) {
	id := ID{15: 7}
	client := Client{ClientID: "shop-1", HasClientID: true, SoftwareName: "apache-kafka-java", SoftwareVersion: "4.3.1", Address: "10.1.2.3", Port: 4711}
	for match, want := range map[string]bool{
		"":                                          true,
		"client_id=shop-.*":                         true,
		"client_id=shop":                            false,
		"client_id=hop-1":                           false,
		"client_id=a|shop-1":                        true,
		"client_software_version=4\\..*":            true,
		"client_software_name=librdkafka":           false,
		"client_source_address=10\\.1\\..*":         true,
		"client_source_port=4711":                   true,
		"client_instance_id=AAAAAAAAAAAAAAAAAAAABw": true,
		"client_id=shop-1,client_source_port=1":     false,
		"client_id=no,client_id=shop-1":             true,
	} {
		s := parse(t, map[string]string{"match": match})
		if got := s.Matches(id, &client); got != want {
			t.Errorf("%q matches: %v", match, got)
		}
	}
	for _, match := range []string{"client_id=.*", "client_software_name=kgo", "client_software_version=1", "client_source_address=.*", "client_source_port=.*"} {
		s := parse(t, map[string]string{"match": match})
		if s.Matches(id, &Client{}) {
			t.Errorf("%q matches a client of which that is not known", match)
		}
	}
	if s := parse(t, map[string]string{"match": "client_software_name=unknown,client_software_version=unknown"}); !s.Matches(id, &Client{}) {
		t.Error("software that was not told is not unknown")
	}
}
