package logsink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/zone"
)

var errFull = errors.New("no space")

// disk is a file on a disk with little space. It takes as many bytes as give allows; -1 means
// all.
type disk struct {
	mu    sync.Mutex
	text  strings.Builder
	space int
}

func (d *disk) give(space int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = space
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.space < 0 {
		return d.text.Write(b)
	}
	n, _ := d.text.Write(b[:min(d.space, len(b))])
	if d.space -= n; n < len(b) {
		return n, errFull
	}
	return n, nil
}

// TestLinesTorn fills the disk within a line. The line is written again on a line of its own.
func TestLinesTorn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		spaces []int // the free space at each attempt to write
		want   string
	}{
		{"all", []int{-1}, "one\ntwo\n"},
		{"nothing at first", []int{0, -1}, "one\ntwo\n"},
		{"torn in the first line", []int{2, -1}, "on\none\ntwo\n"},
		{"torn before the end of a line", []int{3, -1}, "one\ntwo\n"},
		{"torn before the end of the last line", []int{7, -1}, "one\ntwo\n"},
		{"torn twice before the end of a line", []int{3, 0, 4, -1}, "one\ntwo\n"},
		{"torn between lines", []int{4, -1}, "one\ntwo\n"},
		{"torn in the second line", []int{6, -1}, "one\ntw\ntwo\n"},
		{"torn, then nothing, then all", []int{2, 0, 0, -1}, "on\none\ntwo\n"},
		{"torn, then the newline alone", []int{2, 1, -1}, "on\none\ntwo\n"},
		{"torn twice", []int{2, 2, -1}, "on\no\none\ntwo\n"},
		{"torn, then a line", []int{2, 5, -1}, "on\none\ntwo\n"},
		{"torn, then a line and a part", []int{2, 6, -1}, "on\none\nt\ntwo\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &disk{}
			lines := newLines(d)
			lines.Add([]byte("one\n")...)
			lines.Add([]byte("two\n")...)
			for i, space := range tt.spaces {
				d.give(space)
				if err := lines.Finish(); (err == nil) != (i == len(tt.spaces)-1) {
					t.Errorf("attempt %d: %v", i, err)
				}
			}
			if diff := cmp.Diff(tt.want, d.text.String()); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLinesRandom lets a disk take random parts. Each line is in the file once, complete and
// in order. A torn line is a beginning of the line after it.
func TestLinesRandom(t *testing.T) {
	for seed := range pipelinetest.Seeds(500) {
		r := rand.New(rand.NewPCG(seed, 5))
		d := &disk{}
		lines := newLines(d)
		var want []string
		for i := range 50 {
			line := fmt.Sprintf("<%d %s>", i, strings.Repeat("x", r.IntN(20)))
			want = append(want, line)
			lines.Add([]byte(line + "\n")...)
			d.give(r.IntN(60))
			lines.Finish()
		}
		d.give(-1)
		if err := lines.Finish(); err != nil {
			t.Fatal(err)
		}
		var got []string
		torn := ""
		for line := range strings.Lines(d.text.String()) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.HasSuffix(line, ">") {
				torn = line
				continue
			}
			if !strings.HasPrefix(line, torn) {
				t.Fatalf("seed %d: %q follows %q", seed, line, torn)
			}
			torn = ""
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: lines (-want +got):\n%s", seed, diff)
		}
	}
}

// TestLinesCut writes more than the backlog. A line says how many lines are missing, in their
// place.
func TestLinesCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		lines := newLines(d)
		line := strings.Repeat("x", 999) + "\n"
		const kept = fileBacklog / 1000
		for range kept + 5 {
			lines.Add([]byte(line)...)
		}
		lines.Add([]byte("short\n")...) // it would fit by itself, but must not come before the lines that are missing
		if err := lines.Finish(); !errors.Is(err, errFull) {
			t.Fatalf("Finish: %v, want %v", err, errFull)
		}
		now := time.Now().In(zone.Location()).Format("2006-01-02 15:04:05")
		d.give(kept*len(line) + 10) // room for the lines in the backlog and a part of the line about the missing ones
		if err := lines.Finish(); !errors.Is(err, errFull) {
			t.Fatalf("Finish: %v, want %v", err, errFull)
		}
		d.give(-1)
		lines.Add([]byte("later\n")...)
		if err := lines.Finish(); err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat(line, kept) +
			now[:10] + "\n" + now + " - [WARNING] the log file took no more: 6 lines are missing here\nlater\n"
		if diff := cmp.Diff(want, d.text.String()); diff != "" {
			t.Errorf("file (-want +got):\n%s", diff)
		}
	})
}
