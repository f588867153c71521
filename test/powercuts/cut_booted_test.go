//go:build booted

package powercuts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/statefile"
)

// These are what cuts leave, for the summary.
const (
	told    = "cuts after the feed had told something"
	saving  = "cuts that began in a save"
	making  = "cuts that began while a segment was made"
	torn    = "cuts that tore the log"
	history = "records in the histories"
	cursors = "cuts after the publisher had saved its cursor"
	boxes   = "black boxes"
	lost    = "black boxes without content"
)

// A cut is a disk as a power cut has left it.
type cut struct {
	name  string
	image string
	world world
	raw   bool                    // no monitor was started on it since
	told  uint64                  // the last record that the feed had told before
	state map[string]store.Counts // what the state file has
	boxed map[string]bool         // the units with a black box
	// published are the events that a broker has. Nobody knows whether those in doubt were published before
	// the cut or a moment later.
	published, inDoubt []string
}

// A chapter is what matters of a record of the chronicle.
type chapter struct {
	seq   uint64
	kind  store.Kind
	unit  string
	at    int64
	after store.Counts
}

// newDisk returns a disk on which no monitor was, and a world in which nothing has happened.
func newDisk(t *testing.T) *cut {
	t.Helper()
	c := &cut{image: shelf + "/next", world: world{units: map[string]unit{}, boot: strings.Repeat("1", 32)}}
	for i := range crowd {
		c.world.units[fmt.Sprintf("loops-%d.service", i)] = unit{}
	}
	duplicate(t, fresh, c.image)
	return c
}

// check wants nothing on the disk to be wrong: neither as the cut has left it, nor after the next start
// of the machine. before is an earlier cut of the same disk.
func (c *cut) check(t *testing.T, s *systemd, before *cut, met map[string]int) {
	t.Helper()
	mount(t, c.image, fixed)
	if log, _ := os.ReadFile(fixed + logFile); len(log) > 0 && log[len(log)-1] != '\n' {
		met[torn]++
	}
	if c.told > 0 {
		met[told]++
	}
	if _, err := os.Stat(fixed + cursorDir + "/cursor"); err == nil {
		met[cursors]++
	}
	c.boxed = c.wantBoxes(t, before, met)
	was := c.wantPromised(t, before)
	met[history] += len(was)
	s.goOn(c.world)
	s.restart()
	b := startBroker(t, c.published)
	m := startMonitor(t, s, b, fixed, time.Second)
	m.ready()
	c.wantPublished(t, m, b)
	m.stop()
	b.stop()
	c.wantExact(t, s, was)
	c.wantBoxes(t, c, map[string]int{})
	c.wantLines(t)
	unmount(t, fixed, 0)
}

// wantPromised wants state and history to be undamaged, and to have no less than an earlier cut and the
// feed, and no more than has happened. It returns the history.
func (c *cut) wantPromised(t *testing.T, before *cut) []chapter {
	t.Helper()
	var err error
	c.state, err = readState(fixed + stateFile)
	if err != nil && (before.state != nil || !errors.Is(err, fs.ErrNotExist)) {
		t.Errorf("%s: %v", c.name, err)
	}
	all, sums := c.readHistory(t)
	for name, u := range c.world.units {
		least, saved, written := before.state[name], c.state[name], sums.Units[name].After
		if !within(least, saved) || !within(saved, u.counts) || !within(written, u.counts) {
			t.Errorf("%s: %s: the state file has %+v, and the history %+v; at an earlier cut the state was %+v, and %+v has happened",
				c.name, name, saved, written, least, u.counts)
		}
	}
	if c.told > 0 && (len(all) == 0 || all[len(all)-1].seq < c.told) {
		t.Errorf("%s: the feed has told record %d, and the last of these %d is older: %+v", c.name, c.told, len(all), all[max(0, len(all)-1):])
	}
	return all
}

// wantExact wants the state and the history to add up, with each other and with what has happened. The
// records that were there before have to be there still, if they have not made room.
func (c *cut) wantExact(t *testing.T, s *systemd, was []chapter) {
	t.Helper()
	out, err := exec.Command(program, "check-state", "-p", fixed+stateFile).CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, "all counts balance") || !strings.Contains(text, " adds up") {
		t.Errorf("%s: check-state: %v\n%s", c.name, err, text)
	}
	if aside, _ := filepath.Glob(fixed + stateFile + ".corrupt*"); len(aside) > 0 {
		t.Errorf("%s: the monitor found a damaged state file: %q", c.name, aside)
	}
	state, err := readState(fixed + stateFile)
	if err != nil {
		t.Errorf("%s: %v", c.name, err)
	}
	is, sums := c.readHistory(t)
	for name, u := range s.now().units {
		saved, written := state[name], sums.Units[name].After
		if saved != u.counts || written != u.counts {
			t.Errorf("%s: %s after the next start (-happened +state +history)\n- %+v\n+ %+v\n+ %+v", c.name, name, u.counts, saved, written)
		}
	}
	for len(was) > 0 && len(is) > 0 && was[0].seq < is[0].seq {
		was = was[1:]
	}
	if len(is) < len(was) || !slices.Equal(is[:len(was)], was) {
		t.Errorf("%s: the next start has changed the history (-before +after)\n- %+v\n+ %+v", c.name, was, is)
	}
}

// readHistory reads the chronicle.
func (c *cut) readHistory(t *testing.T) (all []chapter, sums store.Sums) {
	t.Helper()
	damages, err := store.Read(chronicle.Beside(fixed+stateFile), func(r *store.Record) bool {
		if n := len(all); n > 0 && r.Seq <= all[n-1].seq {
			t.Errorf("%s: record %d follows record %d", c.name, r.Seq, all[n-1].seq)
		}
		all = append(all, chapter{r.Seq, r.Kind, r.Unit, r.Time.UnixMicro(), r.After})
		sums.Add(r)
		return true
	})
	if err != nil && (c.told > 0 || !errors.Is(err, fs.ErrNotExist)) {
		t.Errorf("%s: %v", c.name, err)
	}
	for _, d := range damages {
		t.Errorf("%s: %s", c.name, d)
	}
	for _, f := range sums.Faults {
		t.Errorf("%s: %q: %s", c.name, f.Unit, f)
	}
	return all, sums
}

// wantBoxes wants each black box to have the words of its run, and units that had one before to have
// one still. The monitor does not sync the boxes. So after a cut, a new file may have no content.
func (c *cut) wantBoxes(t *testing.T, before *cut, met map[string]int) (boxed map[string]bool) {
	t.Helper()
	boxed = map[string]bool{}
	dir := blackbox.Beside(chronicle.Beside(fixed + stateFile))
	for name := range c.world.units {
		all, err := blackbox.Read(dir, name)
		if boxed[name] = len(all) > 0; err != nil || before.boxed[name] && !boxed[name] {
			t.Errorf("%s: %s has no black box any more (%v)", c.name, name, err)
		}
		met[boxes] += len(all)
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !boxed[name] {
			if met[lost]++; info.Size() > 0 {
				t.Errorf("%s: the black box of %s cannot be read", c.name, name)
			}
		}
		for _, b := range all {
			if b.Unit != name || !slices.ContainsFunc(b.Lines, func(l records.Line) bool { return l.Text == lastWords+b.Invocation }) {
				t.Errorf("%s: a black box of %s has not the words of its run: %+v", c.name, name, b)
			}
		}
	}
	return boxed
}

var beginning = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - \[`)

// wantLines wants each line of the log to have an end, also one of which only a part was left.
func (c *cut) wantLines(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(fixed + logFile)
	if err != nil || len(text) == 0 {
		t.Errorf("%s: no log (%v)", c.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") || len(beginning.FindAllString(line, -1)) > 1 || strings.Contains(line, "\x00") {
			t.Errorf("%s: the log has the line %q", c.name, line)
		}
	}
}

// readState returns the counts in a state file.
func readState(path string) (map[string]store.Counts, error) {
	units, findings, err := statefile.Read(path)
	for _, f := range findings {
		if f.Lost && err == nil {
			err = errors.New(f.String())
		}
	}
	state := make(map[string]store.Counts, len(units))
	for name, tally := range units {
		state[name] = chronicle.Counts(tally)
	}
	return state, err
}

// within reports whether no count is higher than most.
func within(is, most store.Counts) bool {
	return is.Starts <= most.Starts && is.Stops <= most.Stops && is.Crashes <= most.Crashes && is.Unknown <= most.Unknown && is.Restarts <= most.Restarts
}
