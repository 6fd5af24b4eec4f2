package broker_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/adminapi"
)

// TestRoles: a role is made and granted over the admin API, holds from the next request on, and is
// gone with its grants.
func TestRoles(t *testing.T) {
	n := newJudgedNode(t, nil)
	n.furnish()
	_, web := n.b.Addresses()
	call := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+web+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	expectStatus := func(want int, method, path, body string) string {
		t.Helper()
		status, text := call(method, path, body)
		if status != want {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
		return text
	}
	c := n.dialAs(userOf(9))
	metadata := func() string {
		return name(do[*kmsg.MetadataResponse](c.conn, versioned(metadataRequest(false, "t-there"), 9)).Topics[0].ErrorCode)
	}
	expect(t, "without a role", metadata(), "TOPIC_AUTHORIZATION_FAILED")
	const reader = `{"description":"reads","bindings":[{"operation":"Read","resource":"topic","name":"t-","prefixed":true}]}`
	expectStatus(http.StatusNotFound, "POST", "/v1/roles/reader/grants", `{"grant":["User:u9"]}`)
	expectStatus(http.StatusOK, "PUT", "/v1/roles/reader", reader)
	expect(t, "with a role that is not granted", metadata(), "TOPIC_AUTHORIZATION_FAILED")
	var role adminapi.Role
	if err := json.Unmarshal([]byte(expectStatus(http.StatusOK, "POST", "/v1/roles/reader/grants", `{"grant":["User:u9","Group:ops"]}`)), &role); err != nil {
		t.Fatal(err)
	}
	if len(role.Principals) != 2 || len(role.Bindings) != 1 || !role.Bindings[0].Prefixed || role.Description != "reads" {
		t.Errorf("role: %+v", role)
	}
	expect(t, "with the role", metadata(), "NONE")
	if text := expectStatus(http.StatusOK, "GET", "/v1/roles", ""); !strings.Contains(text, `"name":"reader"`) {
		t.Errorf("roles: %s", text)
	}
	expectStatus(http.StatusOK, "POST", "/v1/roles/reader/grants", `{"revoke":["User:u9"]}`)
	expect(t, "after it was taken", metadata(), "TOPIC_AUTHORIZATION_FAILED")
	expectStatus(http.StatusOK, "DELETE", "/v1/roles/reader", "")
	expectStatus(http.StatusNotFound, "GET", "/v1/roles/reader", "")
	for _, body := range []string{`{"bindings":[{"operation":"Fly","resource":"topic","name":"t"}]}`, `{"bindings":[{"operation":"Read","resource":"moon","name":"t"}]}`,
		`{"bindings":[{"operation":"Read","resource":"topic"}]}`, `{"nonsense":1}`, `[`} {
		expectStatus(http.StatusBadRequest, "PUT", "/v1/roles/reader", body)
	}
	expectStatus(http.StatusNotFound, "POST", "/v1/roles/reader/grants", `{"grant":["User:alice"]}`)
}
