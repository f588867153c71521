//go:build booted

package powercuts

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"service-monitor/stages/bus"
	"service-monitor/stages/chronicle/store"
	"service-monitor/test/fakebus"
	"service-monitor/test/fakejournal"
)

// These are further MESSAGE_ID of PID 1 (sd-messages.h).
const (
	succeeded     = "7ad2d189f7e94e70a38c781354912448"
	processExited = "98e322203f7a4ed290d09fe03c09fe15"
	restartSet    = "5eb03494b6584870a536b337290809b3"
)

// lastWords is what each run says before it crashes, with its invocation.
const lastWords = "these are the last words of run "

// A phase is where a unit is in its loop.
type phase int

const (
	down    phase = iota // not started, or stopped
	up                   // running
	waiting              // crashed
	due                  // a restart is scheduled
)

// A unit is what systemd knows of a unit, and how often it has done what.
type unit struct {
	phase
	restarts   uint32
	invocation [16]byte
	entered    uint64
	counts     store.Counts
}

func (u *unit) properties() map[string]dbus.Variant {
	active, sub, result, code, status := "inactive", "dead", "success", int32(0), int32(0)
	switch u.phase {
	case up:
		active, sub = "active", "running"
	case waiting, due:
		active, sub, result, code, status = "activating", "auto-restart", "exit-code", 1, 3
	}
	job := uint32(0)
	if u.phase == due {
		job = 100 + u.restarts
	}
	invocation := []byte{}
	if u.invocation != [16]byte{} {
		invocation = u.invocation[:]
	}
	properties := map[string]dbus.Variant{}
	for name, value := range map[string]any{
		"LoadState": "loaded", "ActiveState": active, "SubState": sub, "InvocationID": invocation, "StateChangeTimestampMonotonic": u.entered,
		"Job": struct {
			ID   uint32
			Path dbus.ObjectPath
		}{job, "/"},
		"Result": result, "NRestarts": u.restarts, "ExecMainCode": code, "ExecMainStatus": status,
	} {
		properties[name] = dbus.MakeVariant(value)
	}
	return properties
}

// A world is all that a systemd and its journal know at a moment.
type world struct {
	units   map[string]unit
	boot    string
	journal []fakejournal.Entry
}

// A systemd lets units crash, restart and stop. It announces that on the bus as a systemd 252 does, and
// writes it into the journal before.
type systemd struct {
	t       *testing.T
	bus     *fakebus.Bus
	journal *fakejournal.Journal

	mu    sync.Mutex
	rng   *rand.Rand
	units map[string]unit
	boot  string
	names []string
}

// startSystemd starts a systemd that goes on where a world was.
func startSystemd(t *testing.T, w world, seed uint64) *systemd {
	s := &systemd{t: t, bus: fakebus.Start(t), journal: fakejournal.Start(t), rng: rand.New(rand.NewPCG(seed, 0))}
	s.goOn(w)
	return s
}

// goOn goes on where a world was.
func (s *systemd) goOn(w world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.units, s.boot, s.names = maps.Clone(w.units), w.boot, slices.Sorted(maps.Keys(w.units))
	s.journal.Restart(w.boot, w.journal)
	for _, name := range s.names {
		s.be(name, s.units[name])
	}
}

// now returns the world at this moment.
func (s *systemd) now() world {
	s.mu.Lock()
	defer s.mu.Unlock()
	return world{maps.Clone(s.units), s.boot, s.journal.Entries()}
}

// restart is what a power cut and the boot after it do: no unit runs any more, and some run again.
func (s *systemd) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boot = fmt.Sprintf("%016x%016x", s.rng.Uint64(), s.rng.Uint64())
	s.journal.Restart(s.boot, s.journal.Entries())
	for _, name := range s.names {
		u := s.units[name]
		if u.phase == up {
			u.counts.Stops++ // the power cut is no crash
		}
		u = unit{counts: u.counts}
		if s.be(name, u); s.rng.IntN(2) == 0 {
			s.start(name, u, func(string, unit) {})
		}
	}
}

// run lets something happen all the time.
func (s *systemd) run(over <-chan struct{}) {
	beat := time.NewTicker(pulse)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			s.step()
		case <-over:
			return
		}
	}
}

// step lets something happen to any unit.
func (s *systemd) step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.names[s.rng.IntN(len(s.names))]
	u := s.units[name]
	switch {
	case u.phase == up && s.rng.IntN(10) == 0:
		s.write(name, u, succeeded)
		u.phase, u.entered = down, s.journal.Now()
		u.counts.Stops++
		s.announce(name, u)
	case u.phase == up:
		s.journal.Write(fakejournal.Record{Fields: []string{
			"_PID=4711", "_COMM=loops", fmt.Sprintf("_SYSTEMD_INVOCATION_ID=%x", u.invocation), fmt.Sprintf("MESSAGE=%s%x", lastWords, u.invocation)}})
		s.write(name, u, processExited, "COMMAND=ExecStart", "EXIT_CODE=exited", "EXIT_STATUS=3")
		s.write(name, u, fakejournal.Failed, "UNIT_RESULT=exit-code")
		u.phase, u.entered = waiting, s.journal.Now()
		u.counts.Crashes++
		s.announce(name, u)
	case u.phase == waiting:
		u.phase, u.restarts = due, u.restarts+1
		u.counts.Restarts++
		s.write(name, u, restartSet, fmt.Sprint("N_RESTARTS=", u.restarts))
		s.announce(name, u)
	default:
		s.start(name, u, s.announce)
	}
}

// start starts a unit. The invocation is announced with the old state, and then the new state.
func (s *systemd) start(name string, u unit, announce func(string, unit)) {
	if u.phase == down {
		u.restarts = 0
	}
	u.phase, u.entered = down, s.journal.Now()
	for i := range u.invocation {
		u.invocation[i] = byte(s.rng.Uint32())
	}
	announce(name, u)
	s.write(name, u, fakejournal.Started)
	u.phase, u.entered = up, s.journal.Now()
	u.counts.Starts++
	s.be(name, u)
	announce(name, u)
}

func (s *systemd) write(name string, u unit, message string, more ...string) {
	s.journal.Write(fakejournal.Record{Fields: append([]string{
		"_PID=1", "MESSAGE_ID=" + message, "UNIT=" + name, fmt.Sprintf("INVOCATION_ID=%x", u.invocation)}, more...)})
}

// be makes a unit be so, without a signal.
func (s *systemd) be(name string, u unit) {
	s.units[name] = u
	s.bus.Snapshot(name, fakebus.Body(u.properties()))
}

// announce makes a unit be so, and sends the two signals.
func (s *systemd) announce(name string, u unit) {
	s.be(name, u)
	halves := map[string]map[string]dbus.Variant{"Service": {}, "Unit": {}}
	for key, value := range u.properties() {
		half := "Unit"
		if strings.HasPrefix(key, "ExecMain") || key == "Result" || key == "NRestarts" {
			half = "Service"
		}
		halves[half][key] = value
	}
	delete(halves["Unit"], "LoadState")
	for _, half := range []string{"Service", "Unit"} {
		body := fakebus.Body("org.freedesktop.systemd1."+half, halves[half], []string{})
		if err := s.bus.Play(bus.Signal{Unit: name, Order: binary.LittleEndian, Body: body}); err != nil {
			s.t.Errorf("the monitor does not listen: %v", err)
		}
	}
}
