package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// picture draws the ratios on a logarithmic scale: a line from the smallest to the largest, a dot at the median, a red
// mark at the target. Left of 1 Tideline's figure is the smaller one.
//
//	                                   0.25   0.5    1     2
//	produce …: broker CPU per GB         ├──●──┼──┤  │          0.74
func picture(ratios []Ratio) []byte {
	const (
		labels, plot, numbers = 470, 360, 70
		row, top, bottom      = 24, 40, 34
		low, high             = 1.0 / 16, 16.0
	)
	var rows []Ratio
	for _, r := range ratios {
		if r.Kafka != nil {
			rows = append(rows, r)
		}
	}
	x := func(ratio float64) float64 {
		at := math.Log(min(max(ratio, low), high)/low) / math.Log(high/low)
		return labels + at*plot
	}
	height := top + row*len(rows) + bottom
	var out bytes.Buffer
	put := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	put(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`, labels+plot+numbers, height)
	put(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	put(`<text x="10" y="18" font-weight="bold">Tideline / Apache Kafka, median of ratios (line: min to max, red: target)</text>`)
	for _, at := range []float64{1. / 16, 1. / 8, .25, .5, 1, 2, 4, 8, 16} {
		colour := "#ddd"
		if at == 1 {
			colour = "#555"
		}
		put(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`, x(at), top-8, x(at), height-bottom+6, colour)
		put(`<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%.3g</text>`, x(at), height-bottom+20, at)
	}
	for i, r := range rows {
		y := float64(top + row*i + row/2)
		colour := "#1565c0"
		if r.missed() {
			colour = "#e65100"
		}
		put(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, labels-12, y+4, html.EscapeString(titleOf(r)))
		put(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="3"/>`, x(r.Min), y, x(r.Max), y, colour)
		put(`<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`, x(r.Median), y, colour)
		if r.AtMost != nil {
			put(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#c62828" stroke-width="2"/>`, x(*r.AtMost), y-9, x(*r.AtMost), y+9)
		}
		put(`<text x="%d" y="%.1f">%.2f</text>`, labels+plot+14, y+4, r.Median)
	}
	put(`</svg>`)
	return out.Bytes()
}
