package broker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/adminapi"
)

// TestBrokersAdministered: the admin API of a broker by itself.
func TestBrokersAdministered(t *testing.T) {
	n := newNode(t, nil)
	_, web := n.b.Addresses()
	c := n.dial()
	c.create("a", 3, nil)
	call := func(method, path, body string, header ...string) (status int, answer []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+web+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if answer, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, answer
	}
	decode := func(b []byte, v any) {
		t.Helper()
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	}

	status, answer := call("GET", adminapi.BrokersPath, "")
	var brokers adminapi.Brokers
	decode(answer, &brokers)
	if status != http.StatusOK || brokers.Controller != 1 || len(brokers.Brokers) != 1 {
		t.Fatalf("brokers: %d %s", status, answer)
	}
	if b := brokers.Brokers[0]; b.ID != 1 || b.State != adminapi.InService || b.Draining || b.Leaders != 3 || b.Replicas != 3 || fmt.Sprintf("%s:%d", b.Host, b.Port) != n.addr {
		t.Errorf("broker: %+v", b)
	}

	decommission := func(id string) string { return strings.Replace(adminapi.DecommissionPath, "{id}", id, 1) }
	for _, x := range []struct {
		method, path, body string
		header             []string
		want               int
	}{
		{"POST", decommission("1"), "", nil, http.StatusConflict}, // where should its replicas go
		{"POST", decommission("2"), "", nil, http.StatusNotFound},
		{"POST", decommission("x"), "", nil, http.StatusBadRequest},
		{"POST", decommission("-1"), "", nil, http.StatusBadRequest},
		{"POST", decommission("99999999999"), "", nil, http.StatusBadRequest},
		{"DELETE", decommission("1"), "", nil, http.StatusOK},
		{"DELETE", decommission("2"), "", nil, http.StatusNotFound},
		{"DELETE", decommission("x"), "", nil, http.StatusBadRequest},
		{"GET", decommission("1"), "", nil, http.StatusMethodNotAllowed},
		{"DELETE", decommission("1"), "", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"POST", adminapi.RebalancePath, "{}", []string{"Origin", "http://elsewhere.example"}, http.StatusForbidden},
		{"POST", adminapi.RebalancePath, "", nil, http.StatusOK},
		{"POST", adminapi.RebalancePath, `{"dry_run":true,"max_moves":3,"max_bytes":100,"of_the_future":1}`, nil, http.StatusOK},
		{"POST", adminapi.RebalancePath, `{"max_moves":-1}`, nil, http.StatusBadRequest},
		{"POST", adminapi.RebalancePath, `{"max_moves":10001}`, nil, http.StatusBadRequest},
		{"POST", adminapi.RebalancePath, `{"max_bytes":-1}`, nil, http.StatusBadRequest},
		{"POST", adminapi.RebalancePath, `{"max_moves":"many"}`, nil, http.StatusBadRequest},
		{"POST", adminapi.RebalancePath, strings.Repeat(" ", 1<<20), nil, http.StatusBadRequest},
	} {
		status, answer := call(x.method, x.path, x.body, x.header...)
		if status != x.want {
			t.Errorf("%s %s %.60s: %d %s", x.method, x.path, x.body, status, answer)
		}
		if status == http.StatusConflict || status == http.StatusBadRequest || status == http.StatusNotFound {
			var e adminapi.Error
			decode(answer, &e)
			if e.Message == "" {
				t.Errorf("%s %s: no message", x.method, x.path)
			}
		}
	}
	_, answer = call("POST", adminapi.RebalancePath, "{}")
	var r adminapi.Rebalance
	decode(answer, &r)
	if r.Moves == nil || r.Leaders == nil || len(r.Moves)+len(r.Leaders)+r.Applied != 0 {
		t.Errorf("a broker by itself has nothing to even out: %s", answer)
	}
}
