//go:build booted

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"service-monitor/test/bench/result"
)

// TestBench runs the whole bench, briefly. Each load must have figures of each of
// its contestants, and no real event may be lost. The test does not judge the
// figures, because they mean little on a busy machine.
func TestBench(t *testing.T) {
	t.Chdir("../..")
	out := t.TempDir()
	daemon := filepath.Join(out, "service-monitor")
	if text, err := exec.Command("go", "build", "-buildvcs=false", "-o", daemon, "./cmd/service-monitor").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	b := &bench{plan: brief, out: out}
	if err := b.run(t.Context(), daemon, allLoads, ""); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report result.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	wantLoads(t, report.Figures)
	if len(report.Targets) < len(targets) {
		t.Errorf("%d verdicts on %d targets", len(report.Targets), len(targets))
	}
	if plots, _ := filepath.Glob(filepath.Join(out, "*.svg")); len(plots) != len(plotted) {
		t.Errorf("%d plots, want %d", len(plots), len(plotted))
	}
}

func wantLoads(t *testing.T, figures []result.Figure) {
	t.Helper()
	seen := map[[2]string]bool{}
	for _, f := range figures {
		seen[[2]string{f.Load, f.Contestant}] = true
		// A publisher may be faster than the daemon reads, and no journal has its signals. Only real
		// events can be read back.
		real := f.Load == loadReal || f.Load == loadLatency || f.Load == loadCrowd
		if f.Name == lost && real && f.Max != 0 && f.Contestant != "subscribe-units" {
			t.Errorf("%s, %s: %s has lost %v", f.Load, f.Case, f.Contestant, f.Values)
		}
	}
	for _, c := range contestants {
		for _, load := range []string{loadStorm, loadStart, loadIdle, loadReal, loadSingle, loadDay, loadLatency, loadUnits, loadRates, loadCrowd} {
			if got, want := seen[[2]string{load, c.name}], slices.Contains(c.loads, load); got != want {
				t.Errorf("%s: figures of %s: %v, want %v", load, c.name, got, want)
			}
		}
	}
}
