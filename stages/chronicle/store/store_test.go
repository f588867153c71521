package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// records returns n records as a few units make them.
func records(n int) []Record {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.FixedZone("", 7200))
	after := map[string]Counts{}
	var all []Record
	for i := range n {
		unit := fmt.Sprintf("wirepas-sink-ttyUSB%d.service", r.IntN(12))
		at = at.Add(time.Duration(r.IntN(3_000_000)) * time.Microsecond)
		rec := Record{Kind: []Kind{Start, Crash, Restart}[i%3], Time: at, Monotonic: uint64(i) * 1e6, Boot: "0123456789abcdef0123456789abcdef", Unit: unit, Rule: "down-after-run"}
		r32 := r.Uint64()
		for j := range rec.Invocation {
			rec.Invocation[j] = byte(r32 >> (j % 8 * 8))
		}
		if rec.Kind == Crash {
			rec.Result, rec.Code, rec.Status = "exit-code", 1, 203
		}
		rec.Delta = Single(rec.Kind, 0)
		after[unit] = after[unit].Plus(rec.Delta)
		rec.After = after[unit]
		all = append(all, rec)
	}
	return all
}

func mustOpen(t testing.TB, dir string, size int64) (*Store, []Record, []Damage) {
	t.Helper()
	var had []Record
	s, damages, err := Open(dir, size, func(r *Record) { had = append(had, *r) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, had, damages
}

func mustAppend(t testing.TB, s *Store, records []Record) {
	t.Helper()
	if n, err := s.Append(records); n != len(records) || err != nil {
		t.Fatalf("%d of %d records are on the disk: %v", n, len(records), err)
	}
}

func mustRead(t testing.TB, dir string) (all []Record, damages []Damage) {
	t.Helper()
	damages, err := Read(dir, func(r *Record) bool { all = append(all, *r); return true })
	if err != nil {
		t.Fatal(err)
	}
	return all, damages
}

// equal compares records, also their zones.
var equal = cmp.Transformer("inWords", func(t time.Time) string { return t.Format(time.RFC3339Nano) })

// A store of the default size keeps at least 40,000 events. It never takes more than its size, and
// it keeps the newest events.
func TestRoom(t *testing.T) {
	const size = 4 << 20
	dir := t.TempDir()
	s, _, _ := mustOpen(t, dir, size)
	all := records(120_000)
	for part := range slices.Chunk(all, 700) {
		mustAppend(t, s, part)
	}
	got, _ := mustRead(t, dir)
	if len(got) < 40_000 {
		t.Errorf("%d records", len(got))
	}
	same := func(a, b Record) bool {
		return a.Seq == b.Seq && a.Unit == b.Unit && a.After == b.After && a.Time.Equal(b.Time)
	}
	if !slices.EqualFunc(all[len(all)-len(got):], got, same) {
		t.Error("not the newest ones")
	}
	var total int64
	for _, name := range s.names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > size {
		t.Errorf("%d bytes", total)
	}
}

// A process that opens the store goes on where the one before ended, with other numbers.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	all := records(3000)
	for part := range slices.Chunk(all, 30) {
		s, had, damages := mustOpen(t, dir, 1<<20)
		if at := len(had); at > 0 && had[at-1].Seq >= s.seq+1 || len(damages) > 0 {
			t.Fatalf("after %d records: %d, %v", at, s.seq, damages)
		}
		mustAppend(t, s, part)
		s.Close()
	}
	got, _ := mustRead(t, dir)
	if diff := cmp.Diff(all, got, equal); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSortedFunc(got, func(a, b Record) int { return int(a.Seq - b.Seq) }) {
		t.Error("the numbers do not grow")
	}
}

// A disk that is full costs no record that it has.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := mustOpen(t, dir, Smallest)
	all := records(400)
	mustAppend(t, s, all[:50])
	first := s.names[0]
	if err := os.Mkdir(filepath.Join(dir, "0000000002.v1.new"), 0o700); err != nil { // the next segment cannot be made
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0000000002.v1.new", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := s.Append(all[50:])
	if err == nil || n == 0 || n == 350 {
		t.Fatalf("%d records, %v", n, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "0000000002.v1.new")); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, all[50+n:])
	got, damages := mustRead(t, dir)
	if diff := cmp.Diff(all, got, equal); diff != "" || len(damages) > 0 || s.names[0] != first {
		t.Errorf("%v %v", damages, diff)
	}
}

func TestNoStore(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/no/such/directory"} {
		if _, err := Read(dir, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "c")
	s, _, _ := mustOpen(t, dir, Smallest)
	mustAppend(t, s, records(3))
	if err := Remove(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := Remove(dir); err != nil {
		t.Error(err)
	}
}

// Files that are no segments are left alone.
func TestOtherFiles(t *testing.T) {
	mine := []byte("these bytes belong to somebody else")
	file := filepath.Join(t.TempDir(), "chronicle")
	dir := t.TempDir()
	paths := []string{file, filepath.Join(dir, "notes.v1"), filepath.Join(dir, "-000000001.v1"), filepath.Join(dir, "7.v1")}
	for _, path := range paths {
		if err := os.WriteFile(path, mine, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, had, damages := mustOpen(t, dir, Smallest)
	mustAppend(t, s, records(3))
	if len(had) > 0 || len(damages) > 0 {
		t.Errorf("%d records, %v", len(had), damages)
	}
	for _, of := range []string{dir, file} {
		if err := Remove(of); err == nil {
			t.Errorf("%s is removed", of)
		}
	}
	for _, path := range paths {
		if is, err := os.ReadFile(path); err != nil || !slices.Equal(is, mine) {
			t.Errorf("%s: %q, %v", path, is, err)
		}
	}
}

// TestNoSegment has no segment any more: all were too large, and no other could be made.
func TestNoSegment(t *testing.T) {
	s, _, _ := mustOpen(t, t.TempDir(), 4<<20)
	mustAppend(t, s, records(3))
	s.names = nil
	mustAppend(t, s, records(3))
}

// A store that is opened with a smaller size becomes smaller when it begins its next segment.
func TestSmallerSize(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := mustOpen(t, dir, 4<<20)
	mustAppend(t, s, records(60_000))
	s.Close()
	s, _, _ = mustOpen(t, dir, Smallest)
	for range 3 {
		mustAppend(t, s, records(6000))
		if bytes := s.bytes(); bytes > Smallest {
			t.Errorf("%d bytes", bytes)
		}
	}
}
