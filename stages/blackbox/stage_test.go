package blackbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

var (
	segv   = classify.Cause{Result: "signal", Code: 2, Status: 11}
	failed = classify.Cause{Result: "exit-code", Code: 1, Status: 3}
)

// A journal has the words of runs. They are complete some time after the crash. Like the tests, it
// runs in virtual time (testing/synctest).
type journal struct {
	mu    sync.Mutex
	late  time.Duration
	err   error
	empty bool
	stuck bool
	asked []string // when, and of which unit
	began time.Time
}

func (j *journal) words(ctx context.Context, unit string, run records.Invocation, crashed time.Time, lines int) (records.Words, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = append(j.asked, fmt.Sprintf("%v %s", time.Since(j.began).Round(time.Second), unit))
	if j.stuck {
		<-ctx.Done()
		return records.Words{}, ctx.Err()
	}
	if j.err != nil || j.empty {
		return records.Words{}, j.err
	}
	w := records.Words{Lines: []records.Line{{Text: fmt.Sprintf("%s %d", unit, run[0])}}, CPU: time.Second}
	w.Over = time.Since(crashed) >= j.late
	return w, nil
}

// crash returns an event of a unit that has crashed with its nth run.
func crash(unit string, n byte, cause classify.Cause) count.Event {
	id := decode.Invocation{n, 15: 1}
	now := time.Now()
	return count.Event{
		Transition: classify.Transition{Kind: classify.Crashed, Unit: unit},
		Tally:      &count.Tally{Unit: unit, Life: &classify.Life{}, LastCrash: &count.Crash{Time: now, Cause: cause, Invocation: id.String()}},
	}
}

// run runs the stage while happen sends events. It returns what the stage has logged.
func run(t *testing.T, dir string, j *journal, known map[string]*count.Tally, happen func(send func(count.Event))) string {
	t.Helper()
	var log strings.Builder
	l := logrus.New()
	l.SetOutput(&log)
	j.began = time.Now()
	events := make(chan count.Event)
	g := pipeline.New(pipelinetest.NewNotifier(0))
	source := pipeline.Source(g, "world", pipelinetest.Feed(events))
	pipeline.Sink(g, "blackbox", pipeline.Latest(g, source, func(e count.Event) string { return e.Unit }), New(l, dir, 20, j.words, known))
	ended := make(chan error, 1)
	go func() { ended <- g.Run(t.Context()) }()
	happen(func(e count.Event) { events <- e; synctest.Wait() })
	close(events)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return log.String()
}

// texts returns the first line of each box of a unit.
func texts(t *testing.T, dir, unit string) (texts []string) {
	t.Helper()
	boxes, err := Read(dir, unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		texts = append(texts, b.Lines[0].Text)
	}
	return texts
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestBox(t *testing.T) {
	for _, tt := range []struct {
		name   string
		j      *journal
		happen func(send func(count.Event))
		asked  []string
		kept   []string
	}{
		{"a crash", &journal{}, func(send func(count.Event)) { send(crash("a", 1, segv)); time.Sleep(time.Minute) }, []string{"1s a"}, []string{"a 1"}},
		{"the lines come late", &journal{late: 6 * time.Second}, func(send func(count.Event)) { send(crash("a", 1, segv)); time.Sleep(time.Minute) }, []string{"1s a", "3s a", "7s a"}, []string{"a 1"}},
		{"PID 1 never says that the run is over", &journal{late: time.Hour}, func(send func(count.Event)) { send(crash("a", 1, segv)); time.Sleep(time.Minute) }, []string{"1s a", "3s a", "7s a", "15s a", "31s a"}, []string{"a 1"}},
		{"a core dump comes later, or never", &journal{}, func(send func(count.Event)) {
			send(crash("a", 1, classify.Cause{Result: "core-dump"}))
			time.Sleep(time.Minute)
		}, []string{"1s a", "3s a", "7s a"}, []string{"a 1"}},
		{"the journal has nothing", &journal{empty: true}, func(send func(count.Event)) { send(crash("a", 1, segv)); time.Sleep(time.Hour) }, []string{"1s a", "3s a", "7s a", "15s a", "31s a"}, nil},
		{"the journal cannot be read", &journal{err: errors.New("no")}, func(send func(count.Event)) { send(crash("a", 1, segv)); time.Sleep(time.Hour) }, []string{"1s a", "3s a", "7s a", "15s a", "31s a"}, nil},
		{"a loop", &journal{}, func(send func(count.Event)) {
			for n := range byte(200) { // more than an hour
				send(crash("a", n, segv))
				time.Sleep(20 * time.Second)
			}
		}, []string{"1s a", "1h0m1s a"}, []string{"a 0", "a 180"}},
		{"a loop whose cause changes", &journal{}, func(send func(count.Event)) {
			for n := range byte(12) {
				send(crash("a", n, []classify.Cause{segv, failed}[n/6]))
				time.Sleep(20 * time.Second)
			}
		}, []string{"1s a", "2m1s a"}, []string{"a 0", "a 6"}},
		{"a loop with two causes by turns", &journal{}, func(send func(count.Event)) {
			for n := range byte(200) {
				send(crash("a", n, []classify.Cause{segv, failed}[n%2]))
				time.Sleep(20 * time.Second)
			}
		}, []string{"1s a", "1m1s a", "1h1m1s a"}, []string{"a 0", "a 3", "a 183"}},
		{"crashes that are no loop", &journal{}, func(send func(count.Event)) {
			for n := range byte(5) {
				send(crash("a", n, segv))
				time.Sleep(20 * time.Minute)
			}
		}, []string{"1s a", "20m1s a", "40m1s a", "1h0m1s a", "1h20m1s a"}, []string{"a 2", "a 3", "a 4"}},
		{"an event after the crash is no other crash", &journal{}, func(send func(count.Event)) {
			e := crash("a", 1, segv)
			send(e)
			time.Sleep(time.Hour)
			e.Kind = classify.Started
			send(e)
			time.Sleep(time.Hour)
		}, []string{"1s a"}, []string{"a 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "chronicle", "crashes")
			synctest.Test(t, func(t *testing.T) {
				log := run(t, dir, tt.j, nil, tt.happen)
				expect(t, "asked", tt.j.asked, tt.asked)
				expect(t, "kept", texts(t, dir, "a"), tt.kept)
				expect(t, "log", log, "")
			})
		})
	}
}

// However many units crash, journalctl(1) runs once a second.
func TestPace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "crashes")
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		run(t, dir, j, nil, func(send func(count.Event)) {
			for n := range 200 {
				send(crash(fmt.Sprint("u", n), byte(n), segv))
			}
			time.Sleep(10 * time.Minute)
		})
		for n, asked := range j.asked {
			if !strings.HasPrefix(asked, (time.Duration(n+1)*time.Second).String()+" ") {
				t.Fatalf("call %d: %s", n, asked)
			}
		}
		if len(j.asked) != 200 {
			t.Errorf("asked %d times", len(j.asked))
		}
	})
}

// A disk that fails is reported once. When it works again, the box is made.
func TestNoDisk(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(parent, "chronicle", "crashes")
	synctest.Test(t, func(t *testing.T) {
		log := run(t, dir, &journal{}, nil, func(send func(count.Event)) {
			send(crash("a", 1, segv))
			time.Sleep(30 * time.Second)
			if err := os.Mkdir(parent, 0o755); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		})
		expect(t, "kept", texts(t, dir, "a"), []string{"a 1"})
		if strings.Count(log, "cannot keep the last words") != 1 || strings.Count(log, "last words are kept again") != 1 {
			t.Errorf("told %s", log)
		}
	})
}

// A journal that does not answer holds up neither an event nor the end.
func TestStuckJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "crashes")
	synctest.Test(t, func(t *testing.T) {
		run(t, dir, &journal{stuck: true}, nil, func(send func(count.Event)) {
			send(crash("a", 1, segv))
			time.Sleep(2 * time.Second)
			for n := range byte(100) {
				send(crash("b", n, segv))
			}
		})
	})
}

// If the monitor was killed before it made a box, the next one makes it. A crash that has a box
// gets no other one.
func TestAfterStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chronicle", "crashes")
	synctest.Test(t, func(t *testing.T) {
		known := map[string]*count.Tally{}
		for _, unit := range []string{"boxed", "lost", "older", "again", "empty"} {
			known[unit] = crash(unit, 9, segv).Tally
		}
		known["older"].LastCrash.Time = time.Now().Add(-25 * time.Hour)
		known["never"] = &count.Tally{Unit: "never"}
		// "again" has the box of an earlier crash. The time in this test is virtual, so the files
		// get their times from it.
		for unit, after := range map[string]time.Duration{"boxed": time.Minute, "again": -time.Minute} {
			if err := save(dir, Box{Unit: unit, Lines: []records.Line{{Text: "it was"}}}, nil); err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(after)
			if err := os.Chtimes(filepath.Join(dir, unit), at, at); err != nil {
				t.Fatal(err)
			}
		}
		// A power cut has taken the content of this one.
		after := time.Now().Add(time.Minute)
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600), os.Chtimes(filepath.Join(dir, "empty"), after, after)); err != nil {
			t.Fatal(err)
		}
		j := &journal{}
		run(t, dir, j, known, func(send func(count.Event)) {
			send(crash("boxed", 9, segv))
			time.Sleep(time.Hour)
		})
		expect(t, "asked", len(j.asked), 3)
		expect(t, "kept of empty", texts(t, dir, "empty"), []string{"empty 9"})
		expect(t, "kept of lost", texts(t, dir, "lost"), []string{"lost 9"})
		expect(t, "kept of again", texts(t, dir, "again"), []string{"it was", "again 9"})
	})
}
