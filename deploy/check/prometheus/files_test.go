package prometheus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

var root = filepath.Join("..", "..", "..")

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rules are the recording and alerting rules, which must be valid.
func rules(t *testing.T) (recorded map[string]rulefmt.Rule, alerts map[string]rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(read(t, "deploy", "prometheus", "tideline.rules.yaml")), false)
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	recorded, alerts = map[string]rulefmt.Rule{}, map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded[r.Record] = r
				continue
			}
			if _, twice := alerts[r.Alert]; twice {
				t.Errorf("two alerts are %s", r.Alert)
			}
			alerts[r.Alert] = r
		}
	}
	return recorded, alerts
}

// metric is what the page tells of a metric.
type metric struct {
	kind   string
	labels map[string]bool
}

var row = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([a-z]+) \\| ([a-z_, ]*) \\|")

// metrics are those that a broker has, by the name of each of their series.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	out := map[string]metric{
		"up":     {"gauge", labels("")},
		"ALERTS": {"gauge", labels("alertname, alertstate, severity")},
	}
	for _, m := range row.FindAllStringSubmatch(read(t, "docs", "operations", "metrics.md"), -1) {
		x := metric{m[2], labels(m[3])}
		if x.kind != "histogram" {
			out[m[1]] = x
			continue
		}
		out[m[1]+"_sum"], out[m[1]+"_count"] = x, x
		x.labels = labels(m[3] + ", le")
		out[m[1]+"_bucket"] = x
	}
	if len(out) < 200 {
		t.Fatalf("the page of metrics has %d", len(out))
	}
	return out
}

// labels are those of a metric, and those that the scrape gives to all.
func labels(list string) map[string]bool {
	out := map[string]bool{"job": true, "cluster": true, "instance": true}
	for l := range strings.SplitSeq(list, ",") {
		if l = strings.TrimSpace(l); l != "" {
			out[l] = true
		}
	}
	return out
}

// checkExpression parses an expression and looks for everything that it names.
func checkExpression(t *testing.T, where, text string, known map[string]metric) {
	t.Helper()
	expr, err := parser.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v: %s", where, err, text)
		return
	}
	all := labels("") // of all metrics in the expression
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		m, ok := known[s.Name]
		if !ok {
			t.Errorf("%s: no broker has %s", where, s.Name)
			return nil
		}
		for l := range m.labels {
			all[l] = true
		}
		for _, match := range s.LabelMatchers {
			if match.Name != model.MetricNameLabel && !m.labels[match.Name] {
				t.Errorf("%s: %s has no label %s", where, s.Name, match.Name)
			}
		}
		return nil
	})
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			for _, l := range a.Grouping {
				if !all[l] {
					t.Errorf("%s: nothing in %s has a label %s", where, text, l)
				}
			}
		}
		return nil
	})
}

// withRecorded adds what rules record, with the labels by which they aggregate; or all of them.
func withRecorded(t *testing.T, known map[string]metric, recorded map[string]rulefmt.Rule) {
	t.Helper()
	for name, r := range recorded {
		expr, err := parser.ParseExpr(r.Expr)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := metric{"gauge", labels("")}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if a, ok := n.(*parser.AggregateExpr); ok {
				for _, l := range a.Grouping {
					m.labels[l] = true
				}
			}
			return nil
		})
		known[name] = m
	}
}

func TestRulesNameWhatThereIs(t *testing.T) {
	recorded, alerts := rules(t)
	known := metrics(t)
	for name, r := range recorded {
		checkExpression(t, name, r.Expr, known)
	}
	withRecorded(t, known, recorded)
	for name, r := range alerts {
		checkExpression(t, name, r.Expr, known)
		if s := r.Labels["severity"]; s != "critical" && s != "warning" && s != "info" {
			t.Errorf("%s has severity %q", name, s)
		}
	}
}

var (
	command   = regexp.MustCompile("`tideline ([a-z]+ [a-z-]+)")
	named     = regexp.MustCompile("`(tideline_[a-z0-9_]+)")
	pageLinks = regexp.MustCompile(`\]\(([A-Za-z]+)\.md\)`)
)

// TestAlertsHavePages: who is woken by an alert finds out what to do; and what the page says to type can be typed.
func TestAlertsHavePages(t *testing.T) {
	_, alerts := rules(t)
	known := metrics(t)
	commands := read(t, "docs", "commands.md")
	index := read(t, "docs", "operations", "alerts", "README.md")
	for name, r := range alerts {
		if !strings.HasSuffix(r.Annotations["runbook_url"], "/docs/operations/alerts/"+name+".md") {
			t.Errorf("%s leads to %q", name, r.Annotations["runbook_url"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is", name)
		}
		page := read(t, "docs", "operations", "alerts", name+".md")
		for _, part := range []string{"# " + name + "\n", r.Expr, r.Labels["severity"], "\n## What it means\n", "\n## What to look at\n", "\n## What helps\n", "\n## When it ends\n"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page of %s lacks %q", name, part)
			}
		}
		for _, m := range command.FindAllStringSubmatch(page, -1) {
			if !strings.Contains(commands, "\n## tideline "+m[1]+"\n") {
				t.Errorf("the page of %s has a command that is not there: tideline %s", name, m[1])
			}
		}
		for _, m := range named.FindAllStringSubmatch(page, -1) {
			if !known[m[1]].labels["job"] && !known[m[1]+"_sum"].labels["job"] {
				t.Errorf("the page of %s names a metric that is not there: %s", name, m[1])
			}
		}
		for _, m := range pageLinks.FindAllStringSubmatch(page, -1) {
			if _, ok := alerts[m[1]]; !ok {
				t.Errorf("the page of %s leads to %s, which is no alert", name, m[1])
			}
		}
		if !strings.Contains(index, "["+name+"]("+name+".md)") {
			t.Errorf("the index of alerts lacks %s", name)
		}
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "operations", "alerts", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		name := strings.TrimSuffix(filepath.Base(p), ".md")
		if _, ok := alerts[name]; !ok && name != "README" {
			t.Errorf("%s is the page of no alert", p)
		}
	}
}

// dashboard is what is looked at of Grafana's format.
type dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID      int    `json:"id"`
	Title   string `json:"title"`
	Type    string `json:"type"`
	GridPos struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
	} `json:"targets"`
}

var labelValues = regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`)

func TestDashboardsNameWhatThereIs(t *testing.T) {
	known := metrics(t)
	recorded, _ := rules(t)
	withRecorded(t, known, recorded)
	files, err := filepath.Glob(filepath.Join(root, "deploy", "grafana", "*.json"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d dashboards: %v", len(files), err)
	}
	for _, file := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, "deploy", "grafana", filepath.Base(file))), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d.UID+".json" != filepath.Base(file) || d.Title == "" || len(d.UID) > 40 {
			t.Errorf("%s has uid %q", file, d.UID)
		}
		variables := map[string]bool{}
		for _, v := range d.Templating.List {
			variables[v.Name] = true
			if m := labelValues.FindStringSubmatch(v.Definition); m != nil {
				checkExpression(t, d.UID+"/"+v.Name, m[1], known)
			} else if v.Name != "datasource" {
				t.Errorf("%s: variable %s is %q", d.UID, v.Name, v.Definition)
			}
		}
		if !variables["datasource"] || !variables["cluster"] || !variables["instance"] {
			t.Errorf("%s lacks a variable: %v", d.UID, variables)
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			where := d.UID + "/" + p.Title
			switch p.Type {
			case "row", "timeseries", "stat":
			default:
				t.Errorf("%s is a %s, which may be a plugin", where, p.Type)
			}
			if ids[p.ID] || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 || p.Title == "" {
				t.Errorf("%s has id %d and lies at %+v", where, p.ID, p.GridPos)
			}
			ids[p.ID] = true
			if len(p.Targets) == 0 && p.Type != "row" {
				t.Errorf("%s shows nothing", where)
			}
			for _, x := range p.Targets {
				checkExpression(t, where, strings.ReplaceAll(x.Expr, "$__rate_interval", "5m"), known)
			}
		}
	}
}
