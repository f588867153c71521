package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/internal/view"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

// without returns a JSON object without the keys that change from one moment to the next.
func without(t *testing.T, text string) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	delete(all, "seq")
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range []string{"now", "as_of", "ago_seconds", "for_seconds", "connected", "availability_24h", "mtbf_seconds", "mttr_seconds"} {
				delete(v, key)
			}
			for _, inner := range v {
				strip(inner)
			}
		case []any:
			for _, inner := range v {
				strip(inner)
			}
		}
	}
	strip(all)
	return all
}

// The status and the reasons are those that the commands of service-monitor show, although the view has
// read the history only once. Events came before it began, and while it read on.
func TestSameAsCommands(t *testing.T) {
	g := newGateway(t, "a.service", "b.service", "c.service")
	g.start()
	now := time.Now()
	for i := range 40 {
		unit := []string{"a.service", "b.service"}[i%2]
		tally := tallyOf(unit, g.units[unit].Crashes+1)
		tally.LastCrash.Time = now.Add(time.Duration(i-40) * time.Minute)
		g.units[unit] = tally
		r := store.Record{Kind: store.Crash, Time: tally.LastCrash.Time, Unit: unit, Result: "signal", Code: 2, Status: 9, Up: 20 * time.Second, Delta: store.Counts{Crashes: 1}, After: chronicle.Counts(tally)}
		g.write(false, r)
	}
	g.stopMonitor()
	g.start()
	g.serve()
	c := g.follow("")
	c.next(view.Monitor)
	from := len(g.seqs)
	g.crash(true, "a.service", "c.service", "a.service")
	c.want(from)
	for g.status().Units[0].Crashes != 22 {
	}
	s, err := ask.Status(g.config, view.All)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(without(t, b.String()), without(t, g.get(200, "/api/status"))); diff != "" {
		t.Errorf("status (-command +server):\n%s", diff)
	}
	if s.Units[0].Day == 0 || s.Units[0].Loop == 0 {
		t.Errorf("%+v proves little", s.Units[0])
	}
	y := &tell.Why{}
	if err := ask.Why(g.config, "a.service", y); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := y.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(without(t, b.String()), without(t, g.get(200, "/api/why?unit=a"))); diff != "" {
		t.Errorf("why (-command +server):\n%s", diff)
	}
	var events []tell.Event
	if err := json.Unmarshal([]byte(g.get(200, "/api/history?unit=c&n=5")), &events); err != nil || len(events) != 1 || events[0].Seq != g.seqs[from+1] {
		t.Errorf("%v, %+v", err, events)
	}
	if err := json.Unmarshal([]byte(g.get(200, "/api/history?n=3")), &events); err != nil || len(events) != 3 || events[2].Seq != g.seqs[len(g.seqs)-1] {
		t.Errorf("%v, %+v", err, events)
	}
	for text, want := range map[string]string{
		g.get(404, "/api/why?unit=mosquitto"):   "none of the monitored services is called mosquitto.service",
		g.get(404, "/api/why?unit=a&crash=999"): "the history has no crash 999 of a.service",
		g.get(200, "/metrics"):                  `service_monitor_unit_crashes_total{name="a.service"} 22`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

// A status does not read what was read before: it is the same when that is gone from the disk.
func TestReadsOnce(t *testing.T) {
	g := newGateway(t, "a.service")
	g.config.History.Size = store.Smallest
	g.start()
	for range 600 { // several segments
		g.crash(false, "a.service")
	}
	g.serve()
	seq := g.status().Seq
	if seq != g.seqs[len(g.seqs)-1] {
		t.Errorf("%d, want %d", seq, g.seqs[len(g.seqs)-1])
	}
	segments, err := filepath.Glob(chronicle.Beside(g.config.State.File) + "/*.v1")
	if err != nil || len(segments) < 2 {
		t.Fatalf("%v, %v", segments, err)
	}
	for _, path := range segments[:len(segments)-1] {
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	c := g.follow("?after=" + fmt.Sprint(seq))
	from := len(g.seqs)
	g.crash(true, "a.service")
	c.want(from)
	if s := g.status(); s.Units[0].Crashes != 601 || s.Seq != g.seqs[from] {
		t.Errorf("%+v", s)
	}
}

// The history of many services takes a bounded memory.
func TestMemory(t *testing.T) {
	var units []string
	for i := range 1000 {
		units = append(units, fmt.Sprintf("unit-%04d.service", i))
	}
	g := newGateway(t, units...)
	g.start()
	begun := time.Now().Add(-20 * time.Hour)
	for i := range 20 {
		var records []store.Record
		for _, unit := range units {
			tally := tallyOf(unit, g.units[unit].Crashes+1)
			g.units[unit] = tally
			records = append(records, store.Record{Kind: store.Crash, Time: begun.Add(time.Duration(i) * time.Hour), Unit: unit, Result: "signal", Code: 2, Status: 9, Up: time.Minute, Delta: store.Counts{Crashes: 1}, After: chronicle.Counts(tally)})
		}
		g.write(false, records...)
	}
	g.stopMonitor()
	g.start()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	g.serve()
	if s := g.status(); len(s.Units) != 1000 || s.Units[0].Crashes != 20 {
		t.Errorf("%d units", len(s.Units))
	}
	if took := int64(heap() - before); took > 12<<20 {
		t.Errorf("the view takes %d bytes", took)
	}
}
