package otlphttp

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/proto"
)

// kind is the content type of OTLP's binary form, of requests and answers.
const kind = "application/x-protobuf"

// Post serves one path: it decodes what is posted to it, at most so many bytes when inflated, into a message of its own, and answers what take
// returns. What is larger, or no such message, is answered with 400, and what is not protobuf with 415.
func Post[Q any, P interface {
	*Q
	proto.Message
}](mux *http.ServeMux, path string, most int, take func(P) proto.Message) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, q *http.Request) {
		if got := q.Header.Get("Content-Type"); got != kind {
			http.Error(w, fmt.Sprintf("only protobuf is understood, got Content-Type=%q", got), http.StatusUnsupportedMediaType)
			return
		}
		body, err := inflated(q, most)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		message := P(new(Q))
		if err := proto.Unmarshal(body, message); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := proto.Marshal(take(message))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(answer) // who has left does not want it
	})
}

func inflated(q *http.Request, most int) ([]byte, error) {
	body := io.Reader(q.Body)
	if q.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(q.Body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	b, err := io.ReadAll(io.LimitReader(body, int64(most)+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("an export has more than %d bytes", most)
	}
	return b, err
}
