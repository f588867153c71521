//go:build booted

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A recorder is another client of the broker. The broker keeps for it what is published while it is away.
type recorder struct {
	t      *testing.T
	cmd    *exec.Cmd
	events chan string
	all    []string
}

func (b *bed) record(filters ...string) *recorder {
	b.t.Helper()
	args := []string{"--unix", fmt.Sprintf("/proc/%d/root%s", b.Leader(), socket), "-V", "5", "-c", "-x", "4294967295", "-i", "recorder", "-q", "1", "-F", "%p"}
	for _, f := range filters {
		args = append(args, "-t", f)
	}
	r := &recorder{t: b.t, cmd: exec.Command("mosquitto_sub", args...), events: make(chan string, 1<<16)}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(r.stop)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			r.events <- lines.Text()
		}
		close(r.events)
	}()
	return r
}

func (r *recorder) stop() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

// await waits for an event.
func (r *recorder) await(what string, is func(event string) bool) {
	r.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				r.t.Fatalf("the recorder has ended before %s came; it has:\n%s", what, strings.Join(r.all, "\n"))
			}
			if r.all = append(r.all, e); is(e) {
				return
			}
		case <-late:
			r.t.Fatalf("%s has not come; the recorder has:\n%s", what, strings.Join(r.all, "\n"))
		}
	}
}

// identity is what an event is recognised by.
type identity struct {
	Boot       string `json:"boot_id"`
	Seq        uint64
	Kind       string
	Invocation string
}

// once returns the events without repeats.
func once(t *testing.T, events []string) (list []string) {
	t.Helper()
	seen := map[identity]bool{}
	for _, e := range events {
		var id identity
		if err := json.Unmarshal([]byte(e), &id); err != nil {
			t.Fatalf("%v: %s", err, e)
		}
		if !seen[id] {
			seen[id] = true
			list = append(list, e)
		}
	}
	return list
}

// awaitAll waits until the recorder has the last event of the history, and compares the two.
func (b *bed) awaitAll(r *recorder) {
	b.t.Helper()
	want := b.history()
	last := want[len(want)-1]
	if len(r.all) == 0 || r.all[len(r.all)-1] != last {
		r.await("the last event "+last, func(e string) bool { return e == last })
	}
	if diff := cmp.Diff(want, once(b.t, r.all)); diff != "" {
		b.t.Fatalf("the history, and what the recorder has (-want +got):\n%s", diff)
	}
}
