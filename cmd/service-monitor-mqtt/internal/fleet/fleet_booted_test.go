//go:build booted

// Package fleet tests many gateways at one broker, and what a Prometheus makes of them.
package fleet

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"service-monitor/stages/chronicle/store"
)

var (
	gateways = flag.Int("gateways", 1000, "how many `gateways` there are; a tenth of them has a storm")
	crashes  = flag.Int("crashes", 20, "how many `crashes` each service has in the storm")
)

// patience is how long all may take, on a slow machine.
const patience = 15 * time.Minute

// A fleet is many gateways with one broker, and a consumer of all their events.
type fleet struct {
	t        *testing.T
	broker   *fleetBroker
	recorder *recorder
	gateways []*gateway
	sent     traffic
}

// TestFleet has a fleet connect, and a tenth of it crash. Meanwhile the broker is restarted. Every event arrives,
// in the order of its gateway, and Prometheus has the right counts of each service.
func TestFleet(t *testing.T) {
	f := newFleet(t)
	began := time.Now()
	f.happen(f.gateways, store.Start)
	f.await(*gateways * services)
	f.say("all have connected, each with %d services", began, services)
	p := f.watch()

	began, storm := time.Now(), f.gateways[:*gateways/10]
	expected := *gateways*services + len(storm)*services**crashes*2
	crashed := make(chan struct{})
	go func() {
		defer close(crashed)
		for range *crashes {
			f.happen(storm, store.Crash, store.Start)
		}
	}()
	f.await(*gateways*services + (expected-*gateways*services)/3)
	f.broker.Stop(syscall.SIGTERM)
	f.broker.Start()
	<-crashed
	f.await(expected)
	f.say("a storm on %d of them, and a restart of the broker", began, len(storm))
	f.compare()
	p.wantCounts()
	p.wantDashboard(len(storm))
	p.wantAlerts(storm)
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, broker: startBroker(t)}
	f.recorder = f.broker.record()
	memory, err := os.MkdirTemp("/dev/shm", "fleet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(memory) })
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	top := t.TempDir()
	for i := range *gateways {
		dir := filepath.Join(top, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		g := newGateway(t, i, "mqtt://127.0.0.1:"+f.broker.port, dir, memory, &f.sent)
		f.gateways = append(f.gateways, g)
		var runs context.Context
		runs, g.stop = context.WithCancel(ctx)
		running.Go(func() {
			if err := g.run(runs); err != nil {
				t.Errorf("%s: %v", g.name, err)
			}
		})
	}
	return f
}

// happen lets something happen to all services of some gateways.
func (f *fleet) happen(gateways []*gateway, kinds ...store.Kind) {
	var all sync.WaitGroup
	for part := range slices.Chunk(gateways, max(1, len(gateways)/runtime.NumCPU())) {
		all.Go(func() {
			for _, g := range part {
				if err := g.happen(kinds...); err != nil {
					f.t.Errorf("%s: %v", g.name, err)
				}
			}
		})
	}
	all.Wait()
}

// await waits until the recorder has so many events.
func (f *fleet) await(n int) {
	f.t.Helper()
	late := time.After(patience)
	for f.recorder.has() < n {
		select {
		case <-f.recorder.more:
		case <-late:
			f.t.Fatalf("the recorder has %d of %d events", f.recorder.has(), n)
		}
	}
}

// say prints what it took.
func (f *fleet) say(what string, since time.Time, args ...any) {
	f.recorder.mu.Lock()
	defer f.recorder.mu.Unlock()
	took := time.Since(since)
	messages, bytes := f.sent.messages.Swap(0), f.sent.bytes.Swap(0)
	f.t.Logf("%d gateways: %s: %.1f s, %d messages (%.0f a second, %d bytes each), %d connections; %d events, %d repeats; broker %.1f MB",
		len(f.gateways), fmt.Sprintf(what, args...), took.Seconds(), messages, float64(messages)/took.Seconds(), bytes/max(messages, 1),
		f.sent.connects.Load(), f.recorder.unique, f.recorder.repeats, f.broker.peak())
}

// compare wants the recorder to have all that has happened, in order.
func (f *fleet) compare() {
	f.t.Helper()
	f.recorder.mu.Lock()
	defer f.recorder.mu.Unlock()
	if len(f.recorder.wrong) > 0 {
		f.t.Errorf("no events: %q", f.recorder.wrong)
	}
	for _, g := range f.gateways {
		g.mu.Lock()
		if got := f.recorder.heard[g.name]; !slices.Equal(got, g.told) {
			f.t.Errorf("%s has told %d events, and %d were heard, or in another order", g.name, len(g.told), len(got))
		}
		g.mu.Unlock()
	}
}
