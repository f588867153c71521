package logsink

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"service-monitor/stages/journald/writer/journaltest"
)

// TestRunNotes wants the daemon's own messages in the file and in the journal.
func TestRunNotes(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		w.log.Info("before the sink runs")
		err := w.run(t, func() {
			w.events <- started("a.service", 1)
			synctest.Wait()
			fields := logrus.Fields{"error": errors.New("no\nspace"), "retry": time.Second}
			w.log.WithFields(fields).Error("state is not saved")
			fields["retry"] = "is not shared"
			w.log.Debug("is not wanted")
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wantFile(t, "[INFO] before the sink runs\n", "[INFO] a.service:  Incrementing start counter -> 1\n",
			`[ERROR] state is not saved (error: no\nspace, retry: 1s)`+"\n")
	})
	var got []string
	for _, e := range d.Read() {
		if e["MONITOR_UNIT"] == "" {
			got = append(got, e["PRIORITY"]+" "+e["MESSAGE"])
		}
	}
	if diff := cmp.Diff([]string{"6 before the sink runs", `3 state is not saved (error: no\nspace, retry: 1s)`}, got); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

// TestNotesNeverWait wants a caller who logs never to wait for the sink. The file says that
// notes are missing.
func TestNotesNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{})
		for i := range noteBacklog + 3 { // the sink does not run, so waiting would be a deadlock
			w.log.Info(i)
		}
		if err := w.run(t, func() {}); err != nil {
			t.Fatal(err)
		}
		got := w.file()
		if len(got) != noteBacklog+1 || got[0] != "[INFO] 0\n" || got[noteBacklog] != fmt.Sprintf("[INFO] %d\n", noteBacklog-1) {
			t.Errorf("%d lines: %q", len(got), got)
		}
		if got[1] != "[WARNING] lines of the monitor itself are missing here\n" {
			t.Errorf("the loss is reported as %q", got[1])
		}
	})
}

// TestRunRetriesNotes wants a note that journald did not take to be sent again soon, and not
// only with the next event.
func TestRunRetriesNotes(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		err := w.run(t, func() {
			d.Stop()
			w.log.Info("journald is being restarted")
			synctest.Wait()
			d.Restart()
			time.Sleep(retryEvery)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if got := d.Read(); len(got) != 1 || got[0]["MESSAGE"] != "journald is being restarted" {
		t.Errorf("journal: %q", got)
	}
}

func TestFinishTakesNotes(t *testing.T) {
	w := newWorld(Config{})
	w.log.Info("the end")
	if err := New(w.config).finish(); err != nil {
		t.Fatal(err)
	}
	w.wantFile(t, "[INFO] the end\n")
}
