package records

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// However many runs there are, few are kept, and all are told once; behind those
// that are told, many more are shown.
func TestLedgerIsBounded(t *testing.T) {
	const runs = 5 * hold
	var entries []entry
	for i := range runs {
		id := fmt.Sprintf("INVOCATION_ID=%032x", i+1)
		entries = append(entries, entry{"b", started, "a.service", 0, id}, entry{"b", succeeded, "a.service", 0, id})
	}
	l, told := relate(t, entries...)
	next := 1
	for i, p := range told {
		if len(p.Runs) > 2*hold || i < len(told)-1 && len(p.Runs)-p.NewRuns < hold {
			t.Errorf("%d of %d runs are told", p.NewRuns, len(p.Runs))
		}
		for _, r := range p.Runs[min(i, 1):p.NewRuns] { // but for the last one of the Past before
			if n := int(binary.BigEndian.Uint64(r.Invocation[8:])); n != next || r.Ended.IsZero() {
				t.Fatalf("run %d (%+v), want %d", n, r, next)
			}
			next++
		}
	}
	if next != runs+1 || len(l.units["a.service"].runs) != 1 {
		t.Errorf("%d runs are told and %d kept, want %d and 1", next-1, len(l.units["a.service"].runs), runs)
	}
}

// Units that come and go are told when they are over, and forgotten: however many there
// were, few are kept. What was told at a mark is not told again.
func TestPassing(t *testing.T) {
	var told []Past
	l := &ledger{
		wanted: func(string) bool { return true }, passing: func(unit string) bool { return unit != "stays.service" },
		tell: func(p Past) error { told = append(told, p); return nil },
		boot: "b", now: "b", units: make(map[string]*unit), restarts: make(map[string]uint32),
	}
	most := 0
	record := func(unit, message string, n int) {
		t.Helper()
		r := record{boot: "b", pid1: true, unit: unit, message: message, invocation: Invocation{byte(n), byte(n >> 8), byte(n >> 16), 1}, result: "exit-code", clock: uint64(n), at: at(int64(n) + 1)}
		if err := l.add(&r); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(l.units))
	}
	const units = 20_000
	record("stays.service", started, units)
	record("runs.service", started, units+1)
	record("stays.service", succeeded, units)
	for n := range units {
		unit := fmt.Sprintf("run-%d.service", n)
		record(unit, started, n)
		record(unit, failed, n)
		if n%(units/2) != units/2-1 {
			continue
		}
		if err := l.flushAll(); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	for _, p := range told {
		runs += p.NewRuns
		if p.Over && (p.Unit == "stays.service" || p.Unit == "runs.service") {
			t.Errorf("%s is over", p.Unit)
		}
	}
	if runs != units+2 || most > 2*sweepEvery {
		t.Errorf("told %d runs, want %d; %d units were kept at a time", runs, units+2, most)
	}
}
