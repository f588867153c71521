//go:build booted

package cases_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"service-monitor/test/cases"
	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// TestTable checks the table itself against a real systemd. The wanted counts must be those of
// the journal, and the last crash must be that of each unit's properties.
func TestTable(t *testing.T) {
	all := cases.All()
	var o gateway.Options
	cases.Install(&o, all)
	m := gatewaytest.Boot(t, o)
	version, err := m.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all = cases.Known(all, version)
	if err := cases.RunAll(t.Context(), m, all); err != nil {
		t.Error(err)
	}
	truth, err := m.Truth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		for unit, want := range c.Want {
			if got := truth[unit]; !cases.Match(want, got) {
				t.Errorf("%s: journal of %s (-want +got)\n- %+v\n+ %+v", c.Name, unit, want, got)
			}
			last, failed, err := lastCrash(t.Context(), m, unit)
			if err != nil {
				t.Error(err)
			}
			got := want
			got.Last = last
			if failed && want.Crashes > 0 && !cases.MatchExactly(want, got) {
				t.Errorf("%s: properties of %s (-want +got)\n- %+v\n+ %+v", c.Name, unit, want.Last, last)
			}
		}
	}
}

// lastCrash reads the last crash from a unit's properties, and reports whether the unit has
// failed.
func lastCrash(ctx context.Context, m *gateway.Machine, unit string) (last gateway.Crash, failed bool, err error) {
	text, err := m.Run(ctx, "systemctl", "show", "-p", "ActiveState,Result,ExecMainCode,ExecMainStatus", unit)
	if err != nil {
		return last, false, err
	}
	p := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		p[key] = value
	}
	// These are codes of siginfo_t: CLD_EXITED, CLD_KILLED, CLD_DUMPED.
	code, known := map[string]string{"0": "", "1": "exited", "2": "killed", "3": "dumped"}[p["ExecMainCode"]]
	status, err := strconv.Atoi(p["ExecMainStatus"])
	if err != nil || !known {
		return last, false, fmt.Errorf("cannot understand the properties of %s: %q", unit, text)
	}
	return gateway.Crash{Result: p["Result"], Code: code, Status: status}, p["ActiveState"] == "failed", nil
}
