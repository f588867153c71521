package persist

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRunFails has a store that always fails. The stage tries again less and less often,
// reports it at most once a minute and in the status, and does not stop the monitor.
func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{changed(0, "a", 1, 0), changed(200*time.Second, "a", 2, 1)}}
		w.broken = func(since time.Duration) error {
			if since < 230*time.Second {
				return errors.New("no space")
			}
			return nil
		}
		if err := w.run(t, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1s a=1 fails", "2s a=1 fails", "4s a=1 fails", "8s a=1 fails", "16s a=1 fails", "32s a=1 fails",
			"1m4s a=1 fails", "2m4s a=1 fails", "3m4s a=1 fails", "4m4s a=2",
		}
		if diff := cmp.Diff(want, w.saved); diff != "" {
			t.Errorf("saves (-want +got):\n%s", diff)
		}
		logged := []string{
			"1s error state is not saved; monitoring goes on map[error:no space retry:1s]",
			"1m4s error state is not saved; monitoring goes on map[error:no space retry:1m0s]",
			"2m4s error state is not saved; monitoring goes on map[error:no space retry:1m0s]",
			"3m4s error state is not saved; monitoring goes on map[error:no space retry:1m0s]",
			"4m4s info state is saved again map[failed_for:4m3s]",
		}
		if diff := cmp.Diff(logged, w.logged); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		since := w.begun.Add(time.Second).Format("15:04:05")
		notified := []string{"1s cannot save state since " + since, "4m4s ", "10m0s saving and stopping"}
		if diff := cmp.Diff(notified, w.statuses()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// TestRunFailsNowAndThen has a store that fails every other time. It is reported no more
// often than one that always fails. A recovery is reported only if its failure was.
func TestRunFailsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		for i := range uint64(9) {
			w.events = append(w.events, changed(time.Duration(i)*5*time.Second, "a", i+1, 0))
		}
		failed := false
		w.broken = func(time.Duration) error {
			if failed = !failed; failed {
				return errors.New("no space")
			}
			return nil
		}
		if err := w.run(t, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1s error state is not saved; monitoring goes on map[error:no space retry:1s]",
			"2s info state is saved again map[failed_for:1s]",
		}
		if diff := cmp.Diff(want, w.logged); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// TestRunSlowDisk has a slow disk. During a save the stage goes on to receive changes and
// to answer probes. The next save has the changes.
func TestRunSlowDisk(t *testing.T) {
	crash := func(at time.Duration, n uint64) timed { return changed(at, "a", n, n) }
	const s = time.Second
	for _, tt := range []struct {
		name     string
		slow     time.Duration
		events   []timed
		stop     time.Duration
		saved    []string
		logged   []string
		notified []string
	}{
		{
			"two fsync(2) of 5 s", 10 * s, []timed{crash(0, 1), crash(s, 2), crash(2*s, 3), crash(11*s, 4)}, 55 * s,
			[]string{"300ms a=1", "10.3s a=3", "20.3s a=4"}, nil, []string{"55s saving and stopping"},
		},
		{
			"longer than the watchdog waits", 40 * s, []timed{crash(s, 1), crash(2*s, 2)}, 115 * s,
			[]string{"1.3s a=1", "41.3s a=2"},
			[]string{
				"16.3s error state is not saved; monitoring goes on map[error:the disk does not answer]",
				"41.3s info state is saved again map[failed_for:40s]",
				"1m16.3s error state is not saved; monitoring goes on map[error:the disk does not answer]", // a minute after the first
				"1m21.3s info state is saved again map[failed_for:40s]",
			},
			[]string{"16s cannot save state since 1s", "41s ", "56s cannot save state since 41s", "1m21s ", "1m55s saving and stopping"},
		},
		{
			"stopped meanwhile", 4 * s, []timed{crash(0, 1), crash(s, 2)}, 2 * s,
			[]string{"300ms a=1", "4.3s a=2"}, nil, []string{"2s saving and stopping"},
		},
		{
			"stopped meanwhile, with nothing else to save", 4 * s, []timed{crash(0, 1)}, 2 * s,
			[]string{"300ms a=1"}, nil, []string{"2s saving and stopping"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{events: tt.events, slow: tt.slow, watchdog: 30 * s}
				if err := w.run(t, tt.stop); err != nil {
					t.Fatal(err)
				}
				notified := w.statuses()
				for i, status := range notified { // replace the time of day by the time since the start
					for n := range time.Duration(60) {
						status = strings.ReplaceAll(status, w.begun.Add(n*s).Format("15:04:05"), (n * s).String())
					}
					notified[i] = status
				}
				for _, d := range []string{
					cmp.Diff(tt.saved, w.saved), cmp.Diff(tt.logged, w.logged), cmp.Diff(tt.notified, notified),
				} {
					if d != "" {
						t.Errorf("saves, log or status (-want +got):\n%s", d)
					}
				}
			})
		})
	}
}

// TestSlowSaveFails wants no change to be lost by a save that fails late, nor by one
// during which another stage fails.
func TestSlowSaveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{changed(0, "a", 1, 1), changed(time.Second, "b", 1, 0)}, slow: 500 * time.Millisecond, fails: 3400 * time.Millisecond}
		w.broken = func(since time.Duration) error {
			if since < 3*time.Second {
				return errors.New("no space")
			}
			return nil
		}
		if err := w.run(t, time.Minute); err == nil || err.Error() != "other: no ink" {
			t.Errorf("Run: %v", err)
		}
		if diff := cmp.Diff([]string{"300ms a=1 fails", "1.8s a=1 b=1 fails", "3.4s a=1 b=1"}, w.saved); diff != "" {
			t.Errorf("saves (-want +got):\n%s", diff)
		}
	})
}

// TestStopFails wants the monitor to report changes that it cannot save at the stop.
func TestStopFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: []timed{changed(0, "a", 1, 0)}}
		w.broken = func(time.Duration) error { return errors.New("cannot save state: no space") }
		err := w.run(t, 500*time.Millisecond)
		if want := "persist: cannot save state: no space"; err == nil || err.Error() != want {
			t.Errorf("Run: %v, want %s", err, want)
		}
	})
}
