package classify

import (
	"math/rand/v2"
	"strings"
	"testing"

	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/decode"
)

// A tally is what really happened in a model, or what was counted.
type tally struct{ starts, stops, crashes, unknown, restarts, limits, failures int }

// ends returns how many runs have ended, in whatever way.
func (c *tally) ends() int { return c.stops + c.crashes + c.unknown }

func (c *tally) add(facts []Transition) {
	for _, f := range facts {
		switch f.Kind {
		case Started:
			c.starts++
		case Stopped:
			c.stops++
		case Crashed:
			c.crashes++
		case UnknownEnd:
			c.unknown++
		case Restarted:
			c.restarts += int(f.Times())
		case GaveUp:
			if f.Cause.Result == StartLimitHit {
				c.limits++
			} else {
				c.failures++
			}
		}
	}
}

// A model is a unit as systemd runs it. It announces each change one to three times, and counts
// what happens.
type model struct {
	r       *rand.Rand
	version int
	u       decode.Update
	clock   uint64
	truth   tally
	out     []decode.Update
	inner   map[int]bool // the indexes in out at which PID 1 answers nothing
}

func (m *model) enter(state string) {
	m.clock++
	active, sub, _ := strings.Cut(state, "/")
	m.u.ActiveState, m.u.SubState, m.u.Entered = active, sub, m.clock
	m.announce()
}

func (m *model) announce() {
	for range 1 + m.r.IntN(3) {
		m.out = append(m.out, m.u)
	}
}

// begin starts a new invocation, which systemd announces in the old state.
func (m *model) begin() {
	if m.u.SubState == "auto-restart" {
		m.queue()
	}
	m.truth.starts++
	m.u.Invocation = decode.Invocation{byte(m.truth.starts), byte(m.truth.starts >> 8), 1}
	m.u.Result, m.u.MainCode, m.u.MainStatus = success, 0, 0
	first := len(m.out)
	m.announce()
	for i := first; i < len(m.out); i++ {
		m.inner[i] = true
	}
}

// queue waits for the job of a scheduled restart. Before 257 that job stops the unit first, and
// systemd does not announce that if a start follows at once.
func (m *model) queue() {
	if m.version >= 257 {
		m.enter("activating/auto-restart-queued")
		return
	}
	m.clock++
	m.u.ActiveState, m.u.SubState, m.u.Entered = "inactive", "dead", m.clock
}

// life starts the unit by hand, and goes on until systemd no longer restarts it.
func (m *model) life() {
	m.u.NRestarts = 0
	m.begin()
	for m.run() && m.r.IntN(4) > 0 {
		if m.r.IntN(6) == 0 {
			m.unscheduled()
			return
		}
		m.truth.restarts++
		m.u.NRestarts++
		m.u.Job++
		m.announce()
		if m.refused() {
			return
		}
		m.begin()
		m.u.Job = 0
	}
	if strings.HasPrefix(m.u.SubState, "auto-restart") {
		m.enter("inactive/dead") // somebody stops it while it waits
	}
	if m.r.IntN(3) == 0 {
		m.u.Result = success
		m.enter("inactive/dead") // reset-failed
	}
	if m.u.ActiveState == "inactive" && m.r.IntN(2) == 0 {
		m.clean()
	}
}

// unscheduled makes systemd fail to schedule a restart.
func (m *model) unscheduled() {
	m.truth.failures++
	m.overwrite("resources")
	m.enter("failed/failed")
}

// refused may end a scheduled restart without a run, and reports whether it did.
func (m *model) refused() bool {
	switch m.r.IntN(12) {
	case 0, 1:
		m.limit()
	case 2, 3: // something that the unit needs has failed
		m.truth.failures++
		m.queue()
		m.announce()
		m.u.Job = 0
		first := len(m.out)
		m.announce()
		for i := first; i < len(m.out); i++ {
			m.inner[i] = m.version < 257 // a later snapshot does not show it
		}
	case 4: // somebody stops it before its turn has come
		m.queue()
		m.u.Job++
		m.announce()
		m.enter("inactive/dead")
		m.u.Job = 0
		m.announce()
	default:
		return false
	}
	return true
}

// limit makes the start limit refuse a scheduled restart.
func (m *model) limit() {
	m.truth.limits++
	m.queue()
	m.overwrite(StartLimitHit)
	if m.version < 257 {
		m.announce()
	}
	m.enter("failed/failed")
	m.u.Job = 0
	m.announce()
}

// overwrite does what service_enter_dead() of systemd does to the result of a run.
func (m *model) overwrite(result string) {
	if m.u.Result == success {
		m.u.Result = result
	}
}

// clean runs systemctl clean, which may fail.
func (m *model) clean() {
	m.enter("maintenance/cleaning")
	if m.r.IntN(2) == 0 {
		m.enter("inactive/dead")
		return
	}
	m.enter("maintenance/cleaning-sigterm")
	m.overwrite("timeout")
	m.enter("failed/failed")
}

// ask does something to a running unit that does not end it. systemd announces that a unit is
// frozen or thawed, but no property that matters changes.
func (m *model) ask() {
	switch m.r.IntN(4) {
	case 0:
		m.enter("reloading/reload-signal")
		m.enter("active/running")
	case 1:
		m.enter("refreshing/refresh-extensions")
		m.enter("active/running")
	case 2:
		m.announce()
	}
}

// run runs and ends an invocation. It reports whether the unit waits for a restart.
func (m *model) run() bool {
	switch m.r.IntN(5) {
	case 0:
		m.u.Result = "resources" // never up
	case 1:
		m.enter("activating/start-pre")
		m.enter("activating/start")
		m.enter("active/running")
	default:
		m.enter("active/running")
		m.ask()
	}
	crash := m.u.Result != success || m.r.IntN(2) == 0
	if !crash {
		return m.done()
	}
	m.truth.crashes++
	if m.u.Result == success {
		m.u.Result, m.u.MainCode, m.u.MainStatus = "exit-code", exited, 1
	}
	again := m.r.IntN(2) == 0
	direct := m.version >= 257 && m.r.IntN(2) == 0
	if !again || !direct {
		m.enter("failed/failed")
	}
	if again {
		m.enter("activating/auto-restart")
	}
	return again
}

// done ends an invocation well. It reports whether the unit waits for a restart.
func (m *model) done() bool {
	m.truth.stops++
	m.u.MainCode = exited
	if m.r.IntN(2) == 0 {
		m.enter("deactivating/stop-sigterm")
		m.enter("inactive/dead")
		return false
	}
	if m.version < 257 || m.r.IntN(2) == 0 {
		m.enter("inactive/dead")
	}
	m.enter("activating/auto-restart")
	return true
}

// Over random lives, what is counted is what happened, whatever is announced twice, and wherever a
// snapshot lies in between.
func TestModel(t *testing.T) {
	for seed := range pipelinetest.Seeds(2000) {
		m := &model{r: rand.New(rand.NewPCG(seed, 1)), version: []int{252, 257}[seed%2], u: at("inactive/dead", 0, snapshot), inner: map[int]bool{}}
		m.announce()
		m.u.Kind = decode.Changed
		for range 1 + m.r.IntN(5) {
			m.life()
		}
		var got tally
		var life Life
		for i, u := range m.out {
			if m.r.IntN(10) == 0 && !m.inner[i] {
				u.Kind = decode.Snapshot
			}
			var facts []Transition
			life, facts = step(nil, life, u)
			got.add(facts)
			running := 0
			if life.Running() {
				running = 1
			}
			if got.starts != got.ends()+running {
				t.Fatalf("seed %d: %+v with %d running does not balance", seed, got, running)
			}
		}
		if got != m.truth {
			t.Fatalf("seed %d: counted %+v, want %+v", seed, got, m.truth)
		}
	}
}
