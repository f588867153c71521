package cursor

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/files"
)

var first = Position{Seq: 7, Mark: "00000000000000aa", Under: "plain gateway-1", Units: map[string]uint64{"a.service": 3, "b.service": 0}}

// Both a process that ends well and one that is killed leave the last position.
func TestPositionStays(t *testing.T) {
	second := Position{Seq: 9, Mark: "bb", Under: "plain gateway-1", Units: map[string]uint64{"b.service": 2, "c.service": 1}}
	for _, end := range []struct {
		name string
		end  func(f *File) error
	}{
		{"closed", (*File).Close},
		{"killed", (*File).release},
	} {
		dir, run := t.TempDir(), memory(t)
		f, p := mustOpen(t, dir, run)
		if diff := cmp.Diff(Position{Units: map[string]uint64{}}, p); diff != "" || len(f.Notes()) > 0 {
			t.Errorf("%s: (-want +got) %s, %v", end.name, diff, f.Notes())
		}
		for _, p := range []Position{first, second} {
			mustMove(t, f, p)
		}
		if err := end.end(f); err != nil {
			t.Fatal(err)
		}
		f, p = mustOpen(t, dir, run)
		if diff := cmp.Diff(second, p); diff != "" || len(f.Notes()) > 0 {
			t.Errorf("%s: (-want +got) %s, %v", end.name, diff, f.Notes())
		}
		if saved, due := end.name == "closed", f.Due(); saved != due.IsZero() {
			t.Errorf("%s: due at %v", end.name, due)
		}
	}
}

// The caller may go on with its map.
func TestMapIsTheCallers(t *testing.T) {
	f, p := mustOpen(t, t.TempDir(), "")
	p.Units["a.service"] = 1
	mustMove(t, f, p)
	p.Units["a.service"] = 2
	if f.at.Units["a.service"] != 1 {
		t.Error("the position has changed")
	}
}

// What does not move is not due, and needs no save.
func TestNothingMoved(t *testing.T) {
	dir := t.TempDir()
	f, _ := mustOpen(t, dir, "")
	mustMove(t, f, Position{})
	if due := f.Due(); !due.IsZero() {
		t.Errorf("due at %v", due)
	}
	mustSave(t, f)
	if got := beside(t, dir); !cmp.Equal(got, []string{"publisher.lock"}) {
		t.Error(got)
	}
}

func TestHeld(t *testing.T) {
	dir := t.TempDir()
	f, _ := mustOpen(t, dir, "")
	_, _, err := Open(dir, "")
	if want := "cannot open cursor: " + dir + ": another service-monitor-mqtt uses it"; !errors.Is(err, ErrHeld) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	mustOpen(t, dir, "")
}

// saved makes a cursor, and saves first and then another position.
func saved(t *testing.T, run string) (dir string, last Position) {
	t.Helper()
	dir = t.TempDir()
	f, _ := mustOpen(t, dir, run)
	last = first.clone()
	last.Seq++
	for _, p := range []Position{first, last} {
		mustMove(t, f, p)
		mustSave(t, f)
	}
	f.release()
	return dir, last
}

// TestDamagedFile changes a file with two saves.
func TestDamagedFile(t *testing.T) {
	tests := []struct {
		name   string
		damage func(b []byte) []byte
		seq    uint64 // what is read
		note   string
		aside  bool
	}{
		{"nothing", func(b []byte) []byte { return b }, 8, "", false},
		{"the newer slot", func(b []byte) []byte { b[block+20] ^= 1; return b }, 7, "the last save is incomplete", false},
		{"the older slot", func(b []byte) []byte { b[20] ^= 1; return b }, 8, "the last save is incomplete", false},
		{"an unused slot", func(b []byte) []byte { clear(b[block:]); return b }, 7, "", false},
		{"both slots", func(b []byte) []byte { b[20] ^= 1; b[block] = 'x'; return b }, 0, "damaged; kept as", true},
		{"all zeros", func(b []byte) []byte { clear(b); return b }, 0, "damaged; kept as", true},
		{"empty", func([]byte) []byte { return nil }, 0, "damaged; kept as", true},
		{"cut off", func(b []byte) []byte { return b[:block+10] }, 7, "damaged; kept as", true},
		{"longer", func(b []byte) []byte { return append(b, 0) }, 8, "damaged; kept as", true},
		{"something else", func([]byte) []byte { return []byte("hello\n") }, 0, "damaged; kept as", true},
		{"a step alone", func(b []byte) []byte {
			line, _ := encode(&content{Generation: 99, Seq: 99})
			return append(padded(line), make([]byte, block)...)
		}, 0, "damaged; kept as", true},
		{"no number", func(b []byte) []byte { return bytes.Repeat(padded(seal([]byte(`{"version":1,"seq":-1}`))), 2) }, 0, "damaged; kept as", true},
	}
	for _, test := range tests {
		dir, _ := saved(t, "")
		path := filepath.Join(dir, name)
		bad := test.damage(mustRead(t, path))
		mustWrite(t, path, bad)
		f, p := mustOpen(t, dir, "")
		said := errors.Join(f.Notes()...)
		if p.Seq != test.seq || (said != nil) != (test.note != "") || said != nil && !strings.Contains(said.Error(), test.note) {
			t.Errorf("%s: position %d, %v, want %d, %q", test.name, p.Seq, said, test.seq, test.note)
		}
		kept, err := filepath.Glob(path + ".corrupt-*")
		if err != nil || (len(kept) == 1) != test.aside {
			t.Errorf("%s: kept %q, %v", test.name, kept, err)
		}
		if test.aside && !bytes.Equal(mustRead(t, kept[0]), bad) {
			t.Errorf("%s: another file was kept", test.name)
		}
		p.Seq = 100
		mustMove(t, f, p)
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if f, p = mustOpen(t, dir, ""); p.Seq != 100 || len(f.Notes()) > 0 {
			t.Errorf("%s: then position %d, %v", test.name, p.Seq, f.Notes())
		}
	}
}

// A file of a newer version stops the start, and stays as it is. That holds for either place.
func TestNewerVersion(t *testing.T) {
	newer := append(padded(seal([]byte(`{"version":2,"seq":"in words"}`))), make([]byte, block)...)
	run := memory(t)
	dir, _ := saved(t, run)
	paths, err := filepath.Glob(run + "/*")
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	for _, path := range append(paths, filepath.Join(dir, name)) {
		was := mustRead(t, path)
		mustWrite(t, path, newer)
		if _, _, err := Open(dir, run); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if !bytes.Equal(mustRead(t, path), newer) {
			t.Errorf("%s was changed", path)
		}
		mustWrite(t, path, was)
	}
	if _, p := mustOpen(t, dir, run); p.Seq != 8 {
		t.Errorf("position %d", p.Seq)
	}
}

// What is no file is not opened, and stays as it is.
func TestNoFile(t *testing.T) {
	for _, kind := range []struct {
		name string
		make func(path string) error
	}{
		{"fifo", func(path string) error { return unix.Mkfifo(path, 0o600) }},
		{"link", func(path string) error { return os.Symlink("/dev/null", path) }},
		{"link to nothing", func(path string) error { return os.Symlink("elsewhere", path) }},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }},
	} {
		dir := t.TempDir()
		if err := kind.make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(dir, ""); !errors.Is(err, files.ErrKind) {
			t.Errorf("%s: %v", kind.name, err)
		}
		if got := beside(t, dir); !cmp.Equal(got, []string{name, "publisher.lock"}) {
			t.Errorf("%s: %q", kind.name, got)
		}
		// In the volatile place, it is said. The durable one goes on.
		dir, run := t.TempDir(), memory(t)
		if err := kind.make(newVolatile(run, dir).path); err != nil {
			t.Fatal(err)
		}
		f, _ := mustOpen(t, dir, run)
		if len(f.Notes()) != 1 || !errors.Is(f.Notes()[0], files.ErrKind) {
			t.Errorf("%s: %v", kind.name, f.Notes())
		}
		f.Moved(first)
		mustSave(t, f)
		f.release()
		if _, p := mustOpen(t, dir, run); p.Seq != first.Seq {
			t.Errorf("%s: position %d", kind.name, p.Seq)
		}
	}
}

// TestMark wants another mark for another record, and the same one for the record that was read.
func TestMark(t *testing.T) {
	r := store.Record{Kind: store.Crash, Time: time.Unix(1_800_000_000, 123_456_789), Unit: "a.service", After: store.Counts{Crashes: 1}}
	marks := map[string]bool{Mark(&r): true}
	for _, change := range []func(r *store.Record){
		func(r *store.Record) { r.Kind = store.Stop },
		func(r *store.Record) { r.Time = r.Time.Add(time.Microsecond) },
		func(r *store.Record) { r.Unit = "b.service" },
		func(r *store.Record) { r.After.Starts = 1 },
	} {
		other := r
		change(&other)
		marks[Mark(&other)] = true
	}
	if len(marks) != 5 {
		t.Errorf("%d marks, want 5", len(marks))
	}
	dir := filepath.Join(t.TempDir(), "c")
	s, _, err := store.Open(dir, store.Smallest, func(*store.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Append([]store.Record{r}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Read(dir, func(read *store.Record) bool {
		if Mark(read) != Mark(&r) {
			t.Errorf("%s of %+v, want %s", Mark(read), read, Mark(&r))
		}
		return true
	}); err != nil {
		t.Error(err)
	}
}
