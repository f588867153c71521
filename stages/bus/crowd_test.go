package bus_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/bus"
	"service-monitor/test/fakebus"
)

func listed(names ...string) fakebus.Reply {
	type unit struct {
		Name, Description, Load, Active, Sub, Following string
		Path                                            dbus.ObjectPath
		ID                                              uint32
		JobType                                         string
		JobPath                                         dbus.ObjectPath
	}
	var units []unit
	for _, n := range names {
		units = append(units, unit{Name: n, Path: "/x", JobPath: "/"})
	}
	return fakebus.Reply{Signature: "a(ssssssouso)", Body: fakebus.Body(units)}
}

func TestGlobs(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("sink-1.service active", "sink-2.service inactive")(b)
		b.Reply("ListUnitsByPatterns", listed("sink-1.service", "sink-1.service"))
		type file struct{ Path, State string }
		b.Reply("ListUnitFilesByPatterns", fakebus.Reply{Signature: "a(ss)", Body: fakebus.Body([]file{
			{"/etc/systemd/system/sink-2.service", "enabled"}, {"/lib/systemd/system/sink-@.service", "static"},
		})})
	}, "sink-*.service")
	r.want("snapshot sink-1.service active", "snapshot sink-2.service inactive", "pattern sink-*.service ")
	r.play(change("sink-3.service", "inactive"), change("source.service", "active"), change("sink-3.service", "active"))
	r.want("changed sink-3.service inactive", "changed sink-3.service active")
	r.stop()
}

// Many units of a glob have come since the last list, so a new list is asked for. The units that
// are not on it are unloaded. Then the glob is known up to here.
func TestCrowdIsSwept(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("run-0.service active")(b)
		b.Reply("ListUnitsByPatterns", listed("run-0.service"))
	}, "run-*.service")
	r.want("snapshot run-0.service active", "pattern run-*.service ")
	for i := range 127 {
		unit := fmt.Sprintf("run-%d.service", i+1)
		r.play(change(unit, "active"), change(unit, "inactive"))
		r.want("changed "+unit+" active", "changed "+unit+" inactive")
	}
	r.play(change("run-128.service", "active"))
	r.want("changed run-128.service active", "pattern run-*.service ")
	var gone []string
	for range 127 { // all but run-0, which is listed, and run-128, which came after the list was asked for
		s := <-r.signals
		gone = append(gone, show(s)+s.Glob)
	}
	if slices.ContainsFunc(gone, func(s string) bool {
		return !strings.HasPrefix(s, "unloaded run-") || !strings.HasSuffix(s, "run-*.service")
	}) {
		t.Errorf("told %q", gone)
	}
	r.play(change("run-128.service", "inactive"), change("run-1.service", "active"))
	r.want("changed run-128.service inactive", "changed run-1.service active")
	r.stop()
}

// A unit that has a unit file stays, even if systemd does not list it.
func TestUnitFilesStay(t *testing.T) {
	type file struct{ Path, State string }
	r := start(t, func(b *fakebus.Bus) {
		b.Reply("ListUnitsByPatterns", listed())
		b.Reply("ListUnitFilesByPatterns", fakebus.Reply{Signature: "a(ss)", Body: fakebus.Body([]file{{"/etc/systemd/system/sink-2.service", "enabled"}})})
	}, "sink-*.service")
	r.want("snapshot sink-2.service inactive", "pattern sink-*.service ")
	r.bus.Forget()
	r.bus.Drop()
	r.want("snapshot sink-2.service inactive", "pattern sink-*.service ")
	r.stop()
}

// PID 1 lists a unit before it announces what happens to it. Every change must be counted, before
// and after the snapshot.
func TestListedBeforeItIsAnnounced(t *testing.T) {
	begun := properties("activating")
	begun["InvocationID"] = dbus.MakeVariant(bytes.Repeat([]byte{7}, 16))
	inactive := properties("inactive")
	for _, test := range []struct {
		name   string
		shown  map[string]dbus.Variant
		before int // how many of the two changes come before the snapshot
		want   []string
	}{
		{"the snapshot is from after its life", inactive, 2, []string{"changed run-9.service activating", "changed run-9.service inactive", "checked run-9.service inactive"}},
		{"from before it", inactive, 0, []string{"snapshot run-9.service inactive", "changed run-9.service activating", "changed run-9.service inactive"}},
		{"from its middle", begun, 1, []string{"changed run-9.service activating", "checked run-9.service activating", "changed run-9.service inactive"}},
		{"from its middle before that is announced", begun, 0, []string{"changed run-9.service activating", "changed run-9.service inactive"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, nil, "run-*.service")
			r.want("pattern run-*.service ")
			r.bus.Reply("ListUnitsByPatterns", listed("run-9.service", "run-0.service"))
			r.bus.Snapshot("run-9.service", fakebus.Body(test.shown))
			made, release := r.bus.Hold("GetAll")
			if err := r.bus.DaemonReload(); err != nil {
				t.Fatal(err)
			}
			<-made
			changes := []bus.Signal{change("run-9.service", "activating"), change("run-9.service", "inactive")}
			r.play(changes[:test.before]...)
			r.want(test.want[:test.before]...)
			release()
			shown := len(test.want) - len(changes)
			r.want(test.want[test.before : test.before+shown]...)
			r.want("snapshot run-0.service inactive")
			r.play(changes[test.before:]...)
			r.want(test.want[test.before+shown:]...)
			r.stop()
		})
	}
}

// A glob that a reload adds is known up to the reload. What its units do later is counted, even if
// nobody watches.
func TestGlobThatAReloadAdds(t *testing.T) {
	r := start(t, nil, "run-*.service")
	r.want("pattern run-*.service ")
	r.lists <- bus.List{Services: []string{"run-*.service", "pass-*.service"}}
	r.want("pattern run-*.service ", "pattern pass-*.service ")
	r.stop()
}

// A unit comes while changes are dropped. Only a new list shows that it is there.
func TestUnitThatComesWhileChangesAreDropped(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("run-1.service active", "run-9.service active")(b)
		b.Reply("ListUnitsByPatterns", listed("run-1.service"))
	}, "run-*.service")
	r.want("snapshot run-1.service active", "pattern run-*.service ")
	r.bus.Reply("ListUnitsByPatterns", listed("run-1.service", "run-9.service"))
	flood := change("run-1.service", "activating")
	flood.Body = fakebus.Body("org.freedesktop.systemd1.Unit", map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("activating"), "Filler": dbus.MakeVariant(strings.Repeat("x", 100_000)),
	}, []string{})
	for range 200 {
		r.play(flood)
	}
	told := ""
	for told != "snapshot run-9.service active" && !strings.HasPrefix(told, "pattern") {
		told = show(<-r.signals)
	}
	if told != "snapshot run-9.service active" {
		t.Errorf("the gap is over, but there was no signal of run-9.service")
	}
	r.stop()
}

// A gap ends even if units keep coming. A unit that comes while the journal is read did not exist
// before, and systemd announces all that happens to it.
func TestUnitsThatComeDoNotKeepAGapOpen(t *testing.T) {
	r := start(t, nil, "run-*.service")
	r.want("pattern run-*.service ")
	made, release := r.bus.Hold("Ping")
	r.doubt()
	<-made
	r.play(change("run-9.service", "activating"))
	r.bus.Forget()
	release()
	r.want("missing run-9.service ", "changed run-9.service activating", "pattern run-*.service ")
	r.play(change("run-9.service", "inactive"))
	r.want("changed run-9.service inactive")
	r.stop()
}

// comes lets 128 units of a glob come, so that a list is asked for.
func (r *rig) comes(from int) {
	for i := range 128 {
		unit := fmt.Sprintf("run-%d.service", from+i)
		r.play(change(unit, "active"))
		r.want("changed " + unit + " active")
	}
}

// PID 1 comes back on the bus just when it was asked for lists, and answers them. That answer is not the one to the
// next question: units that have gone are still folded.
func TestListsOfBeforeANewOwner(t *testing.T) {
	r := start(t, nil, "run-*.service")
	r.want("pattern run-*.service ")
	made, release := r.bus.Hold("ListUnitsByPatterns")
	if err := r.bus.DaemonReload(); err != nil {
		t.Fatal(err)
	}
	<-made
	if err := r.bus.NewOwner(fakebus.PID1); err != nil {
		t.Fatal(err)
	}
	release()
	r.want("pattern run-*.service ")
	r.comes(1)
	r.want("pattern run-*.service ")
	for range 127 {
		if s := show(<-r.signals); !strings.HasPrefix(s, "unloaded run-") {
			t.Fatalf("told %s, want that a unit is unloaded", s)
		}
	}
	r.stop()
}

// A list comes together with the news that changes were dropped before. It says nothing about what was dropped.
func TestListWhileChangesAreDropped(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) { b.Reply("ListUnitsByPatterns", listed("run-0.service")) }, "run-*.service")
	r.want("snapshot run-0.service inactive", "pattern run-*.service ")
	made, release := r.bus.Hold("ListUnitsByPatterns")
	r.comes(1)
	<-made
	flood := change("run-0.service", "activating")
	flood.Body = fakebus.Body("org.freedesktop.systemd1.Unit", map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("activating"), "Filler": dbus.MakeVariant(strings.Repeat("x", 100_000)),
	}, []string{})
	for range 200 {
		r.play(flood)
	}
	release()
	for {
		s := show(<-r.signals)
		if strings.HasPrefix(s, "snapshot run-0.service") {
			break // the gap is over
		}
		if strings.HasPrefix(s, "pattern") || strings.HasPrefix(s, "unloaded") {
			t.Fatalf("told %s before the gap was over", s)
		}
	}
	r.stop()
}
