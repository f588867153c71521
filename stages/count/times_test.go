package count

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
)

// A bench is a keeper in virtual time, and a machine that it watches.
type bench struct {
	s    *Stage
	now  Moment
	last *Tally // of the last event
}

const nextBoot = "fedcba9876543210fedcba9876543210"

func newBench() *bench {
	now := Moment{noon, hour, boot}
	return &bench{s: New(quiet, nil, now), now: now}
}

// wait lets time go by, by both clocks.
func (b *bench) wait(d time.Duration) {
	b.now.Time = b.now.Time.Add(d)
	b.now.Clock += uint64(d.Microseconds())
}

// restart has another process begin now, with what the one before has saved.
func (b *bench) restart() { b.s = New(quiet, maps.Clone(b.s.units), b.now) }

// reboot has the machine be off, and then boot.
func (b *bench) reboot(off, booting time.Duration) {
	b.wait(off + booting)
	b.now.Clock, b.now.Boot = uint64(booting.Microseconds()), nextBoot
	b.restart()
}

type change func(*classify.Transition)

// tell tells the keeper a fact about a.service, which happens now.
func (b *bench) tell(k classify.Kind, l *classify.Life, changes ...change) {
	b.of("a.service", k, l, changes...)
}

func (b *bench) of(unit string, k classify.Kind, l *classify.Life, changes ...change) {
	t := classify.Transition{Kind: k, Unit: unit, Time: b.now.Time, Clock: b.now.Clock, To: l.ActiveState, SubState: l.SubState, Invocation: l.Invocation, Cause: classify.Cause{Result: "signal"}, Life: l}
	if k == classify.CaughtUp {
		t.Source = classify.Snapshot
	}
	for _, change := range changes {
		change(&t)
	}
	events := b.s.count(nil, t, b.now.Time)
	b.last = events[len(events)-1].Tally
}

// past says that a fact was read in the journal later.
func past(d time.Duration) change {
	return func(t *classify.Transition) {
		t.Recovered, t.Source, t.Boot = true, classify.Journal, boot
		t.Time, t.Clock = t.Time.Add(-d), t.Clock-uint64(d.Microseconds())
	}
}

// shown says that only a snapshot shows a fact, and that more may have happened.
func shown(t *classify.Transition) { t.AtLeast, t.Source = true, classify.Snapshot }

func from(state string) change { return func(t *classify.Transition) { t.From = state } }

// watched says until when the process has watched.
func (b *bench) watched(d time.Duration) change {
	return func(t *classify.Transition) { t.Watched = b.now.Clock - uint64(d.Microseconds()) }
}

// cut says that a boot ended so long ago, as the journal has it.
func cut(d time.Duration) change {
	return func(t *classify.Transition) {
		t.Recovered, t.Source, t.Boot, t.Clock, t.Time = true, classify.Journal, boot, 0, t.Time.Add(-d)
		t.Cause.Result = "shutdown"
	}
}

func state(active string, nth byte, running bool) *classify.Life {
	l := life(nth, running)
	l.ActiveState = active
	return l
}

// begin has the unit first seen while it is stopped, and started a minute later. Then it is up.
func (b *bench) begin() {
	b.tell(classify.Seen, state("inactive", 0, false))
	b.wait(time.Minute)
	b.tell(classify.Started, state("active", 1, true))
}

var (
	up1, down1, off1 = state("active", 1, true), state("failed", 1, false), state("inactive", 1, false)
	up2, off2        = state("active", 2, true), state("inactive", 2, false)
)

const second, minute = time.Second, time.Minute

// timesCases have what happens after begin, and how long the unit was in each phase at the end. All of it
// adds up to the time since it was first seen.
var timesCases = []struct {
	name  string
	story func(b *bench)
	want  Spent
}{
	{"it runs", func(b *bench) { b.wait(minute) }, Spent{Up: minute, Stopped: minute}},
	{"a crash, a restart, a stop", func(b *bench) {
		b.wait(minute)
		b.tell(classify.Crashed, down1)
		b.wait(5 * second)
		b.tell(classify.Restarted, down1)
		b.tell(classify.Started, up2)
		b.wait(2 * minute)
		b.tell(classify.Stopped, off2)
		b.wait(second)
	}, Spent{Up: 3 * minute, Down: 5 * second, Stopped: minute + second}},
	{"somebody resets it after a crash", func(b *bench) {
		b.tell(classify.Crashed, down1)
		b.wait(minute)
		b.tell(classify.Moved, off1, from("failed"))
		b.wait(second)
	}, Spent{Down: minute, Stopped: minute + second}},
	{"before 257, a restart that is scheduled makes it inactive", func(b *bench) {
		b.tell(classify.Crashed, down1)
		waits := *off1
		waits.Scheduled = 1
		b.tell(classify.Moved, &waits, from("activating"))
		b.wait(minute)
		b.tell(classify.Started, up2)
	}, Spent{Down: minute, Stopped: minute}},
	{"somebody stops it in that moment", func(b *bench) {
		b.tell(classify.Crashed, down1)
		waits := *off1
		waits.Scheduled, waits.Job = 1, 7
		b.tell(classify.Moved, &waits, from("activating"))
		b.tell(classify.CaughtUp, &waits)
		b.wait(minute)
		over := waits
		over.Job = 0
		b.tell(classify.CaughtUp, &over) // by an audit
		b.wait(second)
	}, Spent{Down: minute, Stopped: minute + second}},
	{"it was seen how it is, but not how its run ended", func(b *bench) {
		b.wait(minute)
		b.tell(classify.UnknownEnd, off1, func(t *classify.Transition) { t.AtLeast = true })
		b.wait(second)
	}, Spent{Up: minute, Stopped: minute + second}},

	{"no monitor, and the same run goes on", func(b *bench) {
		b.wait(minute)
		b.restart()
		b.wait(9 * minute)
		b.tell(classify.CaughtUp, up1)
		b.wait(second)
	}, Spent{Up: 10*minute + second, Stopped: minute}},
	{"no monitor, and the journal has all", func(b *bench) {
		b.wait(minute)
		b.restart()
		b.wait(9 * minute)
		b.tell(classify.Crashed, down1, past(7*minute))
		b.tell(classify.Started, up2, past(6*minute))
		b.tell(classify.CaughtUp, up2)
	}, Spent{Up: 9 * minute, Down: minute, Stopped: minute}},
	{"killed before it saved, and the journal has all", func(b *bench) {
		saved := maps.Clone(b.s.units)
		b.wait(minute)
		b.tell(classify.Crashed, down1)
		b.wait(minute)
		b.tell(classify.Started, up2)
		b.s.units = saved
		b.restart()
		b.tell(classify.Crashed, down1, past(minute))
		b.tell(classify.Started, up2, past(0))
		b.tell(classify.CaughtUp, up2)
		b.wait(minute)
	}, Spent{Up: 2 * minute, Down: minute, Stopped: minute}},
	{"no monitor, and the journal has nothing: it is another run", func(b *bench) {
		b.wait(minute)
		b.of("b.service", classify.Seen, off1) // it was watched until then
		b.restart()
		b.wait(9 * minute)
		b.tell(classify.UnknownEnd, up2, shown)
		b.tell(classify.Started, up2, shown)
		b.wait(second)
	}, Spent{Up: minute + second, Stopped: minute, Unobserved: 9 * minute}},
	{"systemd itself knows since when that run is active", func(b *bench) {
		b.wait(minute)
		b.of("b.service", classify.Seen, off1)
		b.restart()
		b.wait(9 * minute)
		active := *up2
		active.StateEntered = b.now.Clock - uint64((2 * minute).Microseconds())
		b.tell(classify.Started, &active, shown)
	}, Spent{Up: 3 * minute, Stopped: minute, Unobserved: 7 * minute}},
	{"no monitor, and the journal lacks how it ended", func(b *bench) {
		b.restart()
		b.wait(9 * minute)
		b.tell(classify.UnknownEnd, off1, past(minute), func(t *classify.Transition) { t.AtLeast = true })
		b.tell(classify.CaughtUp, off1)
		b.wait(second)
	}, Spent{Stopped: minute + second, Unobserved: 9 * minute}},

	{"the bus is lost, and the journal has nothing", func(b *bench) {
		b.wait(minute)
		b.wait(second) // without the bus
		b.tell(classify.UnknownEnd, up2, shown, b.watched(second))
		b.tell(classify.Started, up2, shown, b.watched(second))
		b.wait(minute)
	}, Spent{Up: 2 * minute, Stopped: minute, Unobserved: second}},
	{"the journal cannot be read, and is read later", func(b *bench) {
		b.wait(minute)
		open := *up2
		open.Opened, open.Gaps = b.now.Time, &[]classify.Gap{{Before: *up1}}
		b.wait(second)
		b.tell(classify.CaughtUp, &open, b.watched(second))
		b.wait(minute)
		inGap := func(t *classify.Transition) { t.InGap = true }
		b.tell(classify.Crashed, &open, past(minute+second), inGap)
		b.tell(classify.Started, &open, past(minute+second/2), inGap)
		b.tell(classify.CaughtUp, up2)
	}, Spent{Up: 2 * minute, Stopped: minute, Unobserved: second}},
	{"the journal cannot be read, but nothing has happened", func(b *bench) {
		open := *up1
		open.Opened = b.now.Time
		b.wait(minute)
		b.tell(classify.CaughtUp, &open, b.watched(second))
	}, Spent{Up: minute, Stopped: minute}},

	{"a reboot, and the journal has how the boot ended", func(b *bench) {
		b.wait(minute)
		b.reboot(10*minute, minute)
		b.tell(classify.Stopped, off1, cut(11*minute))
		b.tell(classify.Started, up2)
		b.wait(second)
	}, Spent{Up: minute + second, Stopped: 12 * minute}},
	{"a power cut, and the journal is lost", func(b *bench) {
		b.wait(minute)
		b.of("b.service", classify.Seen, off1)
		b.wait(second) // which nobody can prove
		b.reboot(10*minute, minute)
		b.tell(classify.UnknownEnd, off1, shown)
		b.tell(classify.CaughtUp, off1, shown)
		b.wait(minute)
	}, Spent{Up: minute, Stopped: 2 * minute, Unobserved: 11*minute + second}},
	{"a reboot while it is stopped", func(b *bench) {
		b.tell(classify.Stopped, off1)
		b.wait(minute)
		b.reboot(10*minute, minute)
		b.tell(classify.CaughtUp, off1)
		b.wait(minute)
		b.tell(classify.Started, up2)
	}, Spent{Stopped: 14 * minute}},
	{"the clock was set a moment after it was stopped, and then came a reboot", func(b *bench) {
		b.tell(classify.Stopped, off1)
		b.now.Time = b.now.Time.Add(24 * time.Hour)
		b.wait(minute)
		b.of("b.service", classify.Seen, off1)
		b.reboot(10*minute, minute)
		b.tell(classify.CaughtUp, off1)
	}, Spent{Stopped: 13 * minute}},
	{"a reboot after which nobody knows the time", func(b *bench) {
		b.tell(classify.Stopped, off1)
		b.reboot(10*minute, minute)
		b.now.Time = time.Unix(60, 0)
		b.restart()
		b.tell(classify.CaughtUp, off1)
		b.wait(second)
	}, Spent{Stopped: 2*minute + second}},

	{"the clock is set", func(b *bench) {
		b.now.Time = b.now.Time.Add(24 * time.Hour)
		b.wait(minute)
		b.tell(classify.Crashed, down1)
		b.now.Time = b.now.Time.Add(-48 * time.Hour)
		b.wait(second)
	}, Spent{Up: minute, Down: second, Stopped: minute}},
	{"the machine is suspended", func(b *bench) {
		b.wait(minute)
		b.now.Time = b.now.Time.Add(8 * time.Hour)
		b.wait(minute)
		b.tell(classify.Crashed, down1)
	}, Spent{Up: 2 * minute, Stopped: minute}},
	{"it is no longer monitored", func(b *bench) {
		b.wait(minute)
		b.tell(classify.Forgotten, up1)
		b.s.units["a.service"] = b.last // which the copy of the state file has
		b.wait(minute)
	}, Spent{Up: minute, Stopped: minute}},
}

func TestTimes(t *testing.T) {
	for _, tt := range timesCases {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench()
			b.begin()
			tt.story(b)
			if diff := cmp.Diff(tt.want, b.s.units["a.service"].Times.SpentAt(b.now)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A unit that has failed before it was first seen is down. One from a file without times begins anew
// when it is seen, and a glob has the times of its units alone.
func TestTimesBegin(t *testing.T) {
	b := newBench()
	b.tell(classify.Seen, down1)
	b.s.units["b.service"] = &Tally{Unit: "b.service", State: "active", Life: up1}
	b.wait(minute)
	b.of("b.service", classify.CaughtUp, up1)
	b.of("*.service", classify.CaughtUp, &classify.Life{Pattern: true, ActiveState: "unloaded"})
	b.wait(second)
	for unit, want := range map[string]Spent{"a.service": {Down: minute + second}, "b.service": {Up: second}, "*.service": {}} {
		if diff := cmp.Diff(want, b.s.units[unit].Times.SpentAt(b.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", unit, diff)
		}
	}
}

// Counts that are put back have their times with them.
func TestTimesJoin(t *testing.T) {
	earlier := Tally{Times: Times{Spent: Spent{Up: minute}}}
	now := Tally{Life: &classify.Life{ActiveState: "active", Invocation: decode.Invocation{1}}, Times: Times{Spent: Spent{Up: second}, Phase: Up, Clock: 7, Boot: boot}}
	want := now.Times
	want.Spent[Up] += minute
	if got := now.Join(&earlier).Times; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
