package metrics

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"service-monitor/test/servers"
)

// These files ship with the program.
const (
	dashboardFile = "../../../../debian/share/dashboard.json"
	rulesFile     = "../../../../debian/share/rules.yml"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The types of Grafana's SDK are made from its schema. Unmarshalling them strictly refuses a key that the
// schema does not have, and a value of another type, in each panel as well.
func TestDashboardSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	text := read(t, dashboardFile)
	if fault := schema(text); fault != "" {
		t.Error(fault)
	}
	for was, is := range map[string]string{`"graphMode": "none"`: `"graphMode": 1`, `"mergeValues"`: `"mergeVales"`, `"gridPos"`: `"gridpos"`, `"instant": true`: `"instant": "yes"`, `"editable"`: `"editible"`} {
		wrong := bytes.Replace(text, []byte(was), []byte(is), 1)
		if bytes.Equal(wrong, text) {
			t.Errorf("%s is not in the dashboard", was)
		}
		if schema(wrong) == "" {
			t.Errorf("%s passes", is)
		}
	}
}

// schema returns what the schema of Grafana says against a dashboard. The error of the SDK is never nil.
func schema(text []byte) string {
	var d dashboard.Dashboard //lint:ignore SA1019 Grafana before 12 knows no other form
	if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err.Error()
	}
	if err := d.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

// Panels do not lie upon each other, and each of them and each query has a name of its own.
func TestDashboardLayout(t *testing.T) {
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range servers.ReadDashboard(t, dashboardFile) {
		if ids[p.ID] {
			t.Errorf("two panels are number %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && p.Description == "" {
			t.Errorf("%q is not explained", p.Title)
		}
		for x := p.At.X; x < p.At.X+p.At.W; x++ {
			for y := p.At.Y; y < p.At.Y+p.At.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Errorf("%q lies on %q", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if refs[q.Ref] {
				t.Errorf("%q has two queries %s", p.Title, q.Ref)
			}
			refs[q.Ref] = true
		}
	}
}

// Rules and dashboard name only metrics that there are.
func TestNames(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, status(looping(), missing()), Options{}); err != nil {
		t.Fatal(err)
	}
	exporter := string(read(t, "../../../../debian/mqtt/examples/mqtt-exporter.yaml"))
	for _, file := range []string{dashboardFile, rulesFile} {
		names := regexp.MustCompile(`service_monitor_\w+`).FindAllString(string(read(t, file)), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metrics", file)
		}
		for _, name := range names {
			// The rules also are for gateways that service-monitor-mqtt connects to a broker.
			if !strings.Contains(b.String(), "# TYPE "+name+" ") && !strings.Contains(exporter, "prom_name: "+name+"\n") {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
}
