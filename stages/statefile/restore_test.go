package statefile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/persist"
	"service-monitor/stages/statefile/format/formattest"
)

// A gateway is a monitor with its state file, over several lists of services.
type gateway struct {
	t     *testing.T
	f     *File
	units map[string]*count.Tally
}

func newGateway(t *testing.T, units ...*count.Tally) *gateway {
	g := &gateway{t, newFile(t), make(map[string]*count.Tally)}
	g.count(units...)
	return g
}

// count saves these units.
func (g *gateway) count(units ...*count.Tally) {
	g.t.Helper()
	g.units = maps.Clone(g.units)
	for _, tally := range units {
		g.units[tally.Unit] = tally
	}
	if err := g.f.Save(g.units); err != nil {
		g.t.Fatal(err)
	}
}

// drop removes units from the state, as persist does after they were removed from the list.
func (g *gateway) drop(units ...string) {
	g.t.Helper()
	var gone []count.Event
	for _, unit := range units {
		gone = append(gone, count.Event{Transition: classify.Transition{Kind: classify.Forgotten, Unit: unit}, Tally: g.units[unit]})
	}
	events := make(chan []count.Event, 1)
	events <- gone
	close(events)
	s := persist.New(logrus.New(), g.f, g.units, time.Second, time.Second)
	if err := s.Run(g.t.Context(), &pipeline.Port[count.Event, pipeline.None]{In: events}); err != nil {
		g.t.Fatal(err)
	}
	g.units = maps.Clone(g.units)
	for _, unit := range units {
		delete(g.units, unit)
	}
}

// old makes the copies look as an earlier version wrote them, without marks.
func (g *gateway) old() {
	g.t.Helper()
	for _, path := range g.f.removed() {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, `"dropped"`) && !strings.Contains(line, `"checksum"`) && !strings.Contains(line, `"schema"`) {
				lines = append(lines, line)
			}
		}
		put(g.t, path, strings.Join(lines, ""))
	}
}

// byHand copies a copy over the state file.
func (g *gateway) byHand(path string) {
	g.t.Helper()
	put(g.t, g.f.path, read(g.t, path))
	g.units = loaded(g.t, g.f)
}

// restore calls Restore, and returns the results in short lines.
func (g *gateway) restore(unit ...string) (lines []string) {
	g.t.Helper()
	restored, notes, err := g.f.Restore(func(name string) bool { return len(unit) == 0 || name == unit[0] })
	if err != nil || notes != nil {
		g.t.Fatalf("%v, %q", err, notes)
	}
	for _, r := range restored {
		line := fmt.Sprintf("%s: %d from", strings.TrimSuffix(r.Unit, ".service"), r.PutBack.Starts)
		for _, path := range r.From {
			line += strings.TrimPrefix(path, g.f.path+removedSuffix) + " copy"
		}
		if r.Added {
			line += ", added"
		}
		lines = append(lines, fmt.Sprintf("%s: %d", line, r.Total.Starts))
	}
	g.units = loaded(g.t, g.f)
	for name, tally := range g.units {
		if faults := tally.Check(); faults != nil || tally.Dropped {
			g.t.Errorf("%s: %+v: %q", name, tally, faults)
		}
	}
	return lines
}

// TestRestore drops units, goes on counting, and restores what was dropped exactly once.
func TestRestore(t *testing.T) {
	const a, b, c = "a.service", "b.service", "c.service"
	for _, tt := range []struct {
		name string
		live func(g *gateway)
		want []string
		file string // starts, stops and crashes of each unit
	}{
		{"nothing was dropped", func(g *gateway) {}, nil, "a active 12/9/2, b active 20/17/2"},
		{"dropped", func(g *gateway) { g.drop(a) }, []string{"a: 12 from copy: 12"}, "a active 12/9/2, b active 20/17/2"},
		{"dropped both", func(g *gateway) { g.drop(a, b) }, []string{"a: 12 from copy: 12", "b: 20 from copy: 20"}, "a active 12/9/2, b active 20/17/2"},
		{"monitored again", func(g *gateway) { g.drop(a); g.count(formattest.Running(a, 5)) }, []string{"a: 12 from copy, added: 17"}, "a active 17/11/4, b active 20/17/2"},
		{"monitored again, with more than before", func(g *gateway) { g.drop(a); g.count(formattest.Running(a, 50)) },
			[]string{"a: 12 from copy, added: 62"}, "a active 62/56/4, b active 20/17/2"},
		{"others were dropped since", func(g *gateway) { g.drop(a); g.count(formattest.Running(a, 50)); g.drop(b) },
			[]string{"a: 12 from.1 copy, added: 62", "b: 20 from copy: 20"}, "a active 62/56/4, b active 20/17/2"},
		{"dropped twice", func(g *gateway) { g.drop(a); g.count(formattest.Running(a, 5)); g.drop(a) },
			[]string{"a: 17 from copy.1 copy: 17"}, "a active 17/11/4, b active 20/17/2"},
		{"restored, and dropped again", func(g *gateway) {
			g.drop(a)
			g.count(formattest.Running(a, 5))
			g.restore()
			g.drop(a)
			g.count(formattest.Running(a, 6))
		}, []string{"a: 17 from copy, added: 23"}, "a active 23/14/6, b active 20/17/2"},
		{"put back by hand, and dropped again", func(g *gateway) {
			g.drop(a)
			g.byHand(g.f.path + removedSuffix)
			g.count(counted(g.units[a], 3))
			g.drop(a)
		}, []string{"a: 15 from copy: 15"}, "a active 15/12/2, b active 20/17/2"},
		{"put back by hand", func(g *gateway) { g.drop(a); g.byHand(g.f.path + removedSuffix) },
			[]string{"a: 0 from, added: 12"}, "a active 12/9/2, b active 20/17/2"},

		{"copy of an earlier version", func(g *gateway) { g.drop(a); g.old() }, []string{"a: 12 from copy: 12"}, "a active 12/9/2, b active 20/17/2"},
		{"copy of an earlier version, monitored again", func(g *gateway) { g.drop(a); g.count(formattest.Running(a, 5)); g.old() },
			[]string{"a: 12 from copy, added: 17"}, "a active 17/11/4, b active 20/17/2"},
		{"copy of an earlier version, others counted on", func(g *gateway) { g.drop(a); g.count(formattest.Running(b, 33)); g.drop(b); g.old() },
			[]string{"a: 12 from.1 copy: 12", "b: 33 from copy: 33"}, "a active 12/9/2, b active 33/30/2"},
		{"its run ended meanwhile", func(g *gateway) {
			g.drop(a)
			g.count(&count.Tally{Unit: a, State: "inactive", Life: &classify.Life{ActiveState: "inactive", SubState: "dead", Ended: true}})
		}, []string{"a: 12 from copy, added: 12"}, "a inactive 12/9/2, b active 20/17/2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t, formattest.Running(a, 12), formattest.Running(b, 20))
			tt.live(g)
			if diff := cmp.Diff(tt.want, g.restore()); diff != "" {
				t.Errorf("put back (-want +got):\n%s", diff)
			}
			if got := formattest.Counts(g.units); got != tt.file {
				t.Errorf("state %q, want %q", got, tt.file)
			}
			// To restore again changes nothing, also after another save and another removal.
			text := read(t, g.f.path)
			for range 2 {
				for _, line := range append(g.restore(a), g.restore(b)...) {
					if !strings.Contains(line, ": 0 from, added") {
						t.Errorf("put back again: %s", line)
					}
				}
				if diff := cmp.Diff(text, read(t, g.f.path)); diff != "" {
					t.Errorf("state after another time (-want +got):\n%s", diff)
				}
				g.count(formattest.Running(c, 9))
				g.drop(c)
				g.restore(a)
				text = read(t, g.f.path)
			}
			if got := formattest.Counts(g.units); got != tt.file {
				t.Errorf("state %q, want %q", got, tt.file)
			}
		})
	}
}

// counted returns a tally after n more starts and stops.
func counted(t *count.Tally, n uint64) *count.Tally {
	more := *t
	more.Starts, more.Stops = more.Starts+n, more.Stops+n
	return &more
}

// TestRestoreKeepsTheLife restores a unit that is not monitored, with all that was known of
// it. From there the next start can read the journal.
func TestRestoreKeepsTheLife(t *testing.T) {
	g := newGateway(t, formattest.Running("a.service", 12))
	want := *g.units["a.service"]
	g.drop("a.service")
	g.restore()
	want.Restored = true
	same(t, map[string]*count.Tally{"a.service": &want}, g.units)
}

// TestRestoreSome restores only the units that were asked for.
func TestRestoreSome(t *testing.T) {
	g := newGateway(t, formattest.Running("a.service", 12), formattest.Running("b.service", 20))
	g.drop("a.service", "b.service")
	if diff := cmp.Diff([]string{"b: 20 from copy: 20"}, g.restore("b.service")); diff != "" {
		t.Errorf("put back (-want +got):\n%s", diff)
	}
	if got := formattest.Counts(g.units); got != "b active 20/17/2" {
		t.Errorf("state %q", got)
	}
}

// TestRestoreFromWhatIsThere has a damaged copy and one of a newer version. The other copies
// are read all the same.
func TestRestoreFromWhatIsThere(t *testing.T) {
	g := newGateway(t, formattest.Running("a.service", 12), formattest.Running("b.service", 20), formattest.Running("c.service", 30))
	g.drop("a.service")
	g.drop("b.service")
	g.drop("c.service")
	newest, older := g.f.path+removedSuffix, g.f.path+removedSuffix+".1"
	put(t, newest, strings.ReplaceAll(read(t, newest), `"schema": 1`, `"schema": 17`))
	put(t, older, strings.Replace(read(t, older), `"starts": 20`, `"starts": null`, 1))
	restored, notes, err := g.f.Restore(func(string) bool { return true })
	if err != nil || len(restored) != 2 || len(notes) != 2 || !strings.Contains(notes[0], newest+" was written by a newer version") ||
		!strings.Contains(notes[1], older+" could be read") {
		t.Errorf("%+v, %q, %v", restored, notes, err)
	}
	if got := formattest.Counts(loaded(t, g.f)); got != "a active 12/9/2, b active 0/17/2" {
		t.Errorf("state %q", got)
	}
}

// TestRestoreBesideNoFile puts something that is no file in place of a copy. The other copies
// are read all the same.
func TestRestoreBesideNoFile(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o666) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, formattest.Running("a.service", 12), formattest.Running("b.service", 20))
			g.drop("a.service")
			g.drop("b.service")
			newest := g.f.path + removedSuffix
			if err := errors.Join(os.Remove(newest), plant(newest)); err != nil {
				t.Fatal(err)
			}
			_, notes, err := g.f.Restore(func(string) bool { return true })
			if err != nil || len(notes) != 1 || !strings.Contains(notes[0], newest+": it is a") {
				t.Errorf("%q, %v", notes, err)
			}
			if got := formattest.Counts(loaded(t, g.f)); got != "a active 12/9/2" {
				t.Errorf("state %q", got)
			}
		})
	}
}

// TestKilledBetweenCopyAndRemoval kills a monitor between the copy and the removal. A unit
// that is marked as dropped is then still in the state. Its counts go on, and restoring does
// not add them to themselves.
func TestKilledBetweenCopyAndRemoval(t *testing.T) {
	g := newGateway(t, formattest.Running("a.service", 12))
	g.drop("a.service")
	g.byHand(g.f.path + removedSuffix)
	if tally := g.units["a.service"]; tally.Dropped || !tally.Restored {
		t.Errorf("%+v", tally)
	}
	if diff := cmp.Diff([]string{"a: 0 from, added: 12"}, g.restore()); diff != "" {
		t.Errorf("put back (-want +got):\n%s", diff)
	}
}
