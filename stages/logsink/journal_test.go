package logsink

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/stages/journald/writer/journaltest"
)

// TestRunStalledJournal wants a journald that does not read to hold nothing up, and to get all
// entries when it reads again.
func TestRunStalledJournal(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	var read []map[string]string
	const events = 600
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		err := w.run(t, func() {
			for i := range uint64(events) {
				w.events <- started("a.service", i+1)
			}
			synctest.Wait()
			if got := len(w.file()); got != events {
				t.Errorf("%d lines are in the file, want %d", got, events)
			}
			for range events { // each second as many as the socket holds
				read = append(read, d.Read()...)
				time.Sleep(retryEvery)
				synctest.Wait()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	for i, e := range read {
		if want := fmt.Sprint(i + 1); e["MONITOR_STARTS"] != want {
			t.Fatalf("entry %d is %q, want %s starts", i, e, want)
		}
	}
	if len(read) != events {
		t.Errorf("%d entries are in the journal, want %d", len(read), events)
	}
}

// TestRunCollects wants entries to wait a moment for others, so that they reach the journal
// together. If there are many, or at the stop, they do not wait.
func TestRunCollects(t *testing.T) {
	d := journaltest.Start(t)
	j := journalOf(t, d)
	var ended, lone, before, after, much int
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(Config{Journal: j})
		send := func(n int) {
			for i := range uint64(n) {
				w.events <- started("a.service", i+1)
			}
			synctest.Wait()
		}
		err := w.run(t, func() {
			time.Sleep(time.Second) // until READY=1 is sent; before it entries do not wait
			send(1)
			lone = len(d.Read())
			time.Sleep(collect - 1)
			send(1)
			before = len(d.Read())
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			after = len(d.Read())
			send(many)
			much = len(d.Read())
			for range many { // the socket holds a few at a time
				time.Sleep(retryEvery)
				synctest.Wait()
				d.Read()
			}
			send(3)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	ended = len(d.Read())
	if lone != 0 || before != 0 || after != 2 || much == 0 || ended != 3 {
		t.Errorf("%d and %d entries came at once, want none; %d in time, want 2; %d of many, want some; %d at the end, want 3", lone, before, after, much, ended)
	}
}

// TestRunTellsAll wants the journal to get all entries at the stop. A journald that does not
// read delays the stop only for a moment.
func TestRunTellsAll(t *testing.T) {
	const events = 50
	for _, reads := range []bool{true, false} {
		d := journaltest.Start(t)
		j := journalOf(t, d)
		got := 0
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(Config{Journal: j})
			done := make(chan struct{})
			if reads {
				go func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(time.Millisecond):
							got += len(d.Read())
						}
					}
				}()
			}
			var ended time.Time
			err := w.run(t, func() {
				for i := range uint64(events) {
					w.events <- started("a.service", i+1)
				}
				ended = time.Now()
			})
			close(done)
			if took := time.Since(ended); err != nil || took > time.Second {
				t.Errorf("the end took %v (%v)", took, err)
			}
		})
		if got += len(d.Read()); reads && got != events || !reads && got == 0 {
			t.Errorf("journald, which reads %v, has %d entries, want %d", reads, got, events)
		}
	}
}
