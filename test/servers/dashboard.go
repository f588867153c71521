package servers

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// A Panel is what tests need of a panel of a dashboard of Grafana.
type Panel struct {
	ID                       int
	Type, Title, Description string
	At                       struct{ X, Y, W, H int } `json:"gridPos"`
	Targets                  []Target
}

// A Target is a query of a panel.
type Target struct {
	Ref     string `json:"refId"`
	Expr    string
	Instant bool
}

// ReadDashboard returns the panels of a dashboard.
func ReadDashboard(t *testing.T, file string) []Panel {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ Panels []Panel }
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels
}

// Of returns the query for some gateways, as Grafana would ask it about all services and the last hour.
func (q Target) Of(t *testing.T, instances string) string {
	t.Helper()
	expr := strings.NewReplacer("$instance", instances, "$name", ".*", "$__range", "1h", "$__rate_interval", "4m", "$__interval", "1m").Replace(q.Expr)
	if strings.Contains(expr, "$") {
		t.Errorf("nobody knows a variable of %s", expr)
	}
	return expr
}
