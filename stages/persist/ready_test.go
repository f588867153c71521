package persist

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// TestReady wants READY=1 when the new units are saved, or when the disk fails.
func TestReady(t *testing.T) {
	seen := changed(0, "a", 0, 0)
	seen.Message.Kind = classify.Seen
	for _, tt := range []struct {
		name   string
		slow   time.Duration
		broken error
		want   time.Duration
	}{
		{"two fsync(2) of 5 s", 10 * time.Second, nil, 10 * time.Second},
		{"the disk does not answer", 200 * time.Second, nil, slow},
		{"a disk that is full", time.Second, errors.New("no space"), time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{events: []timed{seen}, slow: tt.slow, broken: func(time.Duration) error { return tt.broken }}
				err := w.run(t, 199*time.Second)
				if (err == nil) != (tt.broken == nil) {
					t.Errorf("Run: %v", err)
				}
				if ready, _ := w.manager.Ready(); ready < tt.want || ready > tt.want+time.Second {
					t.Errorf("ready after %v, want %v", ready, tt.want)
				}
			})
		})
	}
}

// TestReadyWithAll wants all units of the start to be saved before READY=1, also if each
// is saved before the next one comes.
func TestReadyWithAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const units = 3 * burst
		w := &world{slow: 5 * time.Millisecond}
		var all []string
		for i := range units {
			seen := changed(time.Duration(i)*6*time.Millisecond, fmt.Sprintf("%02d", i), 0, 0)
			seen.Message.Kind = classify.Seen
			w.events = append(w.events, seen)
			all = append(all, fmt.Sprintf("%02d=0", i))
		}
		if err := w.run(t, 50*time.Second); err != nil {
			t.Fatal(err)
		}
		const last = units*6*time.Millisecond - 6*time.Millisecond + gap
		want := fmt.Sprintf("%v %s", last, strings.Join(all, " "))
		if got := w.saved[len(w.saved)-1]; len(w.saved) != units || got != want {
			t.Errorf("the last of %d saves is %q, want %q", len(w.saved), got, want)
		}
	})
}

// TestFirstsTogether wants one save for units that are first seen together.
func TestFirstsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: 5 * time.Millisecond}
		for i := range 3 {
			seen := changed(time.Duration(i)*gap/2, fmt.Sprint(i), 0, 0)
			seen.Message.Kind = classify.Seen
			w.events = append(w.events, seen)
		}
		if err := w.run(t, 50*time.Second); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"2ms 0=0 1=0 2=0"}, w.saved); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

// TestFirstIsOwedWhateverItIs lets READY=1 wait for the first event of a unit of any kind:
// a Latest edge may have replaced Seen by what came next.
func TestFirstIsOwedWhateverItIs(t *testing.T) {
	s := New(nil, nil, nil, time.Second, 10*time.Second)
	now := time.Now()
	s.take(&count.Event{
		Transition: classify.Transition{Kind: classify.Moved, Unit: "a"},
		Tally:      &count.Tally{Unit: "a", State: "active", Life: &classify.Life{ActiveState: "active"}},
	}, now)
	if !s.delaysReady(now) || s.pace.due().After(now.Add(gap)) {
		t.Errorf("READY=1 waits: %v, due in %v, want it to be saved at once", s.delaysReady(now), s.pace.due().Sub(now))
	}
}

// TestReadyAfterTheNextSave has a unit come while a save is under way that does not have it. READY=1 waits for
// the next save.
func TestReadyAfterTheNextSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: 5 * time.Second}
		s := New(logrus.New(), w, nil, time.Second, 10*time.Second)
		now := time.Now()
		known, seen := changed(0, "b", 1, 0).Message, changed(0, "a", 0, 0).Message
		s.take(&known, now)
		s.save()
		seen.Kind = classify.Seen
		if s.take(&seen, now); !s.delaysReady(now) {
			t.Error("READY=1 does not wait for the unit that is in no save")
		}
		if err := s.saved(<-s.disk.Done()); err != nil {
			t.Fatal(err)
		}
		if !s.delaysReady(time.Now()) {
			t.Error("READY=1 does not wait for the next save")
		}
		s.save()
		if err := s.saved(<-s.disk.Done()); err != nil || s.delaysReady(time.Now()) {
			t.Errorf("READY=1 waits for nothing, %v", err)
		}
	})
}
