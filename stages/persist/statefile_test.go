package persist

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile"
)

func open(t *testing.T, path string) *statefile.File {
	t.Helper()
	f, err := statefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// loaded loads a state file that must exist and be undamaged.
func loaded(t *testing.T, f *statefile.File) map[string]*count.Tally {
	t.Helper()
	units, damage, err := f.Load()
	if err != nil || damage != nil {
		t.Fatalf("Load: damage %v, error %v", damage, err)
	}
	return units
}

// TestRunFindsTheStateGone removes the saved state of a stage that has nothing to do. The
// state is saved again once, and reported once.
func TestRunFindsTheStateGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	f := open(t, path)
	synctest.Test(t, func(t *testing.T) {
		w := &world{store: f, events: []timed{changed(0, "a", 1, 0)}, watchdog: 30 * time.Second}
		time.AfterFunc(90*time.Second, func() { os.Remove(path); os.Remove(path + files.LockSuffix) })
		if err := w.run(t, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := loaded(t, f)["a"].Starts; got != 1 {
			t.Errorf("%d starts are saved, want 1", got)
		}
		if _, err := files.Hold(path); !errors.Is(err, files.ErrHeld) {
			t.Errorf("Hold: %v, want %v", err, files.ErrHeld)
		}
		if want := "error the saved state is gone; saving it again"; len(w.logged) != 1 || !strings.Contains(w.logged[0], want) || !strings.Contains(w.logged[0], path) {
			t.Errorf("logged %q, want once %q", w.logged, want)
		}
	})
}

// While the directory of the state file is gone, saves fail. When it is back, nothing is lost.
func TestRunFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := open(t, filepath.Join(dir, "s.json"))
	synctest.Test(t, func(t *testing.T) {
		w := &world{store: f, events: []timed{changed(0, "a", 1, 0), changed(5*time.Second, "a", 2, 0)}}
		time.AfterFunc(3*time.Second, func() { os.Rename(dir, dir+".away") })
		time.AfterFunc(20*time.Second, func() { os.Rename(dir+".away", dir) })
		if err := w.run(t, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := loaded(t, f)["a"].Starts; got != 2 {
			t.Errorf("%d starts are saved, want 2", got)
		}
		want := []string{"6s error state is not saved", "21s info state is saved again"}
		if len(w.logged) == 2 && !strings.Contains(w.logged[0], "the directory "+dir+" is gone") {
			t.Errorf("logged %q, want it to say what is gone", w.logged[0])
		}
		if len(w.logged) != 2 || !strings.HasPrefix(w.logged[0], want[0]) || !strings.HasPrefix(w.logged[1], want[1]) {
			t.Errorf("logged %q, want %q", w.logged, want)
		}
	})
}
