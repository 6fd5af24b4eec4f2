package config

import (
	"testing"
	"time"
)

func TestParseShareReset(t *testing.T) {
	for text, want := range map[string]ShareReset{
		"latest": {}, "earliest": {Earliest: true},
		"by_duration:PT5S":          {Since: true, Back: 5 * time.Second},
		"by_duration:P1D":           {Since: true, Back: 24 * time.Hour},
		"by_duration:p2dt3h4m5.25s": {Since: true, Back: 51*time.Hour + 4*time.Minute + 5250*time.Millisecond},
		"by_duration:PT0S":          {Since: true, Back: 0},
	} {
		got, err := ParseShareReset(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "none", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:P1DT", "by_duration:PT-5S", "by_duration:-PT5S",
		"by_duration:PT5", "by_duration:P5S", "by_duration:PT5S5M", "by_duration:PT5H5H", "by_duration:P99999999999999999D", "by_duration:PT1.5H", "by_duration:PT1.2.3S", "by_duration:PTS"} {
		if got, err := ParseShareReset(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
}

func FuzzParseShareReset(f *testing.F) {
	f.Add("by_duration:P2DT3H4M5.25S")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseShareReset(text); err == nil && r.Back < 0 {
			t.Errorf("%q reads as %v", text, r)
		}
	})
}
