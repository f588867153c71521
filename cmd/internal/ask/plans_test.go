package ask

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/test/fakebus"
)

// down returns the status of n units that have failed, and of one that runs.
func down(n int) *tell.Status {
	unit := func(name, state string) *tell.Unit {
		return &tell.Unit{Tally: &count.Tally{Unit: name, State: state, Life: &classify.Life{ActiveState: state, SubState: state}}}
	}
	s := &tell.Status{Now: time.Now(), Units: []*tell.Unit{unit("a.service", "active")}}
	for i := range n {
		s.Units = append(s.Units, unit(fmt.Sprintf("f%02d.service", i), "failed"))
	}
	return s
}

// TestPlanner wants systemd to be asked about the first units that need attention, and again about
// those that have changed.
func TestPlanner(t *testing.T) {
	b := fakebus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.Address)
	failed := fakebus.Body(map[string]dbus.Variant{"ActiveState": dbus.MakeVariant("failed"), "Restart": dbus.MakeVariant("no")})
	b.Reply("GetAll", fakebus.Reply{Signature: "a{sv}", Body: failed})
	var paths []string
	s := down(mostAsked + 5)
	for _, u := range s.Units[1 : mostAsked+1] {
		paths = append(paths, fakebus.Path(u.Unit))
	}
	p := Planner{}
	wantAsked := func(n int, want ...string) {
		t.Helper()
		p.Add(s)
		known := slices.DeleteFunc(slices.Clone(s.Units), func(u *tell.Unit) bool { return u.Plan == nil || u.Plan.Restart != "no" })
		if s.ToAsk != n || s.Asked != min(n, mostAsked) || len(known) != s.Asked {
			t.Errorf("asked about %d of %d, and knows %d", s.Asked, s.ToAsk, len(known))
		}
		var asked []string
		for len(asked) < len(want) {
			if path, is := strings.CutPrefix(b.Called(), "GetAll "); is {
				asked = append(asked, path)
			}
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Error(diff)
		}
	}
	wantAsked(mostAsked+5, paths...)
	s = down(3)
	wantAsked(3)
	s = down(3)
	s.Units[2].Changed = s.Now
	wantAsked(3, paths[1]) // and before that, nothing was asked
}
