package verify

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Save adds the result to results.jsonl of a run's directory, and writes how many records were acknowledged in each second to
// acknowledged.tsv.
func (r *Result) Save(dir string) error {
	line, err := r.JSON()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, "results.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(line)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if file, err = os.Create(filepath.Join(dir, "acknowledged.tsv")); err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	for second, n := range r.perSecond {
		fmt.Fprintf(w, "%d\t%d\n", second, n)
	}
	return errors.Join(w.Flush(), file.Close())
}

// JSON is the result as one line.
func (r *Result) JSON() ([]byte, error) {
	line, err := json.Marshal(r)
	return append(line, '\n'), err
}
