package share

import (
	"testing"
	"time"
)

func TestParseReset(t *testing.T) {
	for text, want := range map[string]Reset{
		"latest": {At: ResetLatest}, "earliest": {At: ResetEarliest},
		"by_duration:PT5S":          {ResetDuration, 5 * time.Second},
		"by_duration:P1D":           {ResetDuration, 24 * time.Hour},
		"by_duration:p2dt3h4m5.25s": {ResetDuration, 51*time.Hour + 4*time.Minute + 5250*time.Millisecond},
		"by_duration:PT0S":          {ResetDuration, 0},
	} {
		got, err := ParseReset(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if again, err := ParseReset(got.String()); err != nil || again != want {
			t.Errorf("%s: %s reads as %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "none", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:P1DT", "by_duration:PT-5S", "by_duration:-PT5S",
		"by_duration:PT5", "by_duration:P5S", "by_duration:PT5S5M", "by_duration:PT5H5H", "by_duration:P99999999999999999D", "by_duration:PT1.5H", "by_duration:PT1.2.3S", "by_duration:PTS"} {
		if got, err := ParseReset(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
}

func FuzzParseReset(f *testing.F) {
	f.Add("by_duration:P2DT3H4M5.25S")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseReset(text); err == nil && r.Back < 0 {
			t.Errorf("%q reads as %v", text, r)
		}
	})
}
