package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore/open"
)

// A store that ignores conditions ends the command with an error, and both forms say what is missing.
func TestProbeShown(t *testing.T) {
	found := open.Capabilities{IfNoneMatch: true, Checksum: true, Findings: []string{"If-Match: 8 of 8 racing writers were told that they had won"}}
	for _, how := range []output{outputTable, outputJSON} {
		var out bytes.Buffer
		p := &program{stdout: &out}
		if err := p.showProbe(how, found); err == nil || !strings.Contains(err.Error(), "does not give all") {
			t.Errorf("%s: error is %v", how, err)
		}
		if !strings.Contains(out.String(), "8 of 8 racing writers") {
			t.Errorf("%s: the finding is not shown:\n%s", how, &out)
		}
	}
}
