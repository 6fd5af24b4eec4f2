package otlphttp

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestPost(t *testing.T) {
	mux := http.NewServeMux()
	Post(mux, "/v1/words", 1000, func(said *wrapperspb.StringValue) proto.Message {
		return wrapperspb.String("heard " + said.GetValue())
	})
	message := func(words string) []byte {
		b, err := proto.Marshal(wrapperspb.String(words))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	squeezed := func(b []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if _, err := z.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, one := range map[string]struct {
		body           []byte
		kind, encoding string
		code           int
	}{
		"plain":          {message("hello"), kind, "", 200},
		"gzip":           {squeezed(message("hello")), kind, "gzip", 200},
		"a bomb":         {squeezed(message(string(make([]byte, 100_000)))), kind, "gzip", 400},
		"too long":       {message(string(make([]byte, 1000))), kind, "", 400},
		"not gzip":       {message("hello"), kind, "gzip", 400},
		"not a message":  {[]byte{0xff}, kind, "", 400},
		"another format": {[]byte("{}"), "application/json", "", 415},
	} {
		q := httptest.NewRequest(http.MethodPost, "/v1/words", bytes.NewReader(one.body))
		q.Header.Set("Content-Type", one.kind)
		if one.encoding != "" {
			q.Header.Set("Content-Encoding", one.encoding)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, q)
		if w.Code != one.code {
			t.Errorf("%s: code %d, want %d: %s", name, w.Code, one.code, w.Body)
		}
		if w.Code != 200 {
			continue
		}
		answer := &wrapperspb.StringValue{}
		b, err := io.ReadAll(w.Body)
		if err == nil {
			err = proto.Unmarshal(b, answer)
		}
		if err != nil || answer.GetValue() != "heard hello" || w.Header().Get("Content-Type") != kind {
			t.Errorf("%s: %v, %v", name, answer, err)
		}
	}
}
