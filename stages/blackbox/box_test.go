package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/files"
	"service-monitor/stages/journald/records"
)

// All boxes together are bounded. The oldest ones make room for new ones.
func TestRoom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "crashes")
	line := records.Line{Text: strings.Repeat("x", 512)}
	now := time.Now()
	var written files.Meter
	for n := range 300 {
		b := Box{Unit: fmt.Sprintf("u%d.service", n)}
		for range 20 {
			b.Lines = append(b.Lines, line)
		}
		was := written.Bytes()
		if err := save(dir, b, &written); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, b.Unit)); err != nil || written.Bytes()-was != uint64(info.Size()) {
			t.Fatalf("wrote %d bytes (%v)", written.Bytes()-was, err)
		}
		at := now.Add(time.Duration(n-300) * time.Second)
		if err := os.Chtimes(filepath.Join(dir, b.Unit), at, at); err != nil {
			t.Fatal(err)
		}
	}
	total := int64(0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += onDisk(info)
	}
	if last, _ := Read(dir, "u299.service"); len(last) != 1 || total > room || total < room*9/10 {
		t.Errorf("%d bytes in %d files, of the last unit %d boxes", total, len(entries), len(last))
	}
	if first, _ := Read(dir, "u0.service"); len(first) != 0 {
		t.Error("the oldest one is there")
	}
}

// However many bytes the lines take as JSON, the file of a unit can be read again. What came last is in it.
func TestLargest(t *testing.T) {
	dir := t.TempDir()
	for n, size := range []int{512, 512, 512, largest} {
		b := Box{Unit: "a", Invocation: fmt.Sprint(n)}
		for i := range min(100, 3*largest/size) {
			b.Lines = append(b.Lines, records.Line{Text: fmt.Sprint("line ", i, strings.Repeat("\x01", size))})
		}
		b.Lines = append(b.Lines, records.Line{Text: "the last words"})
		if err := save(dir, b, nil); err != nil {
			t.Fatal(err)
		}
		boxes, err := Read(dir, "a")
		if err != nil || len(boxes) == 0 || boxes[len(boxes)-1].Invocation != b.Invocation {
			t.Fatalf("box %d: %d boxes, %v", n, len(boxes), err)
		}
		if lines := boxes[len(boxes)-1].Lines; len(lines) == 0 || lines[len(lines)-1].Text != "the last words" {
			t.Errorf("box %d has %d lines", n, len(lines))
		}
	}
}

// A file that a power cut has damaged has no boxes. It does not keep the next box from being made.
func TestDamagedBox(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "\x00\x00\x00", `[{"unit":"a"`, strings.Repeat(" ", largest+1)} {
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if boxes, err := Read(dir, "a"); len(boxes) != 0 || err != nil {
			t.Errorf("%q: %v, %v", text, boxes, err)
		}
		if err := save(dir, Box{Unit: "a", Invocation: "1", Lines: []records.Line{{Text: "new"}}}, nil); err != nil {
			t.Fatal(err)
		}
		expect(t, text[:min(len(text), 20)], texts(t, dir, "a"), []string{"new"})
	}
	for _, name := range []string{"", ".new", "../a", "a/b"} {
		if boxes, err := Read(dir, name); boxes != nil || err != nil {
			t.Errorf("%q: %v, %v", name, boxes, err)
		}
	}
}
