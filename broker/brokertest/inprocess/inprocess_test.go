package inprocess_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/brokertest/inprocess"
)

func TestStart(t *testing.T) {
	kafka, web := inprocess.Start(t, map[string]string{"node.id": "7"})
	if !strings.HasPrefix(kafka, "127.0.0.1:") {
		t.Errorf("kafka=%s", kafka)
	}
	answer, err := http.Get("http://" + web + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s", answer.Status)
	}
}
