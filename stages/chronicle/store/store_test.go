package store

import (
	"encoding/binary"
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

	"service-monitor/stages/files"
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

func TestEveryField(t *testing.T) {
	at := time.Date(2026, 11, 27, 10, 0, 0, 123456000, time.FixedZone("", -12600))
	want := []Record{
		{Kind: Seen, Time: at, Unit: "a.service", To: "active", SubState: "running", After: Counts{5, 4, 3, 2, 1}},
		{Kind: Restart, Flags: Recovered | AtLeast | Missed | Untrusted, Time: time.UnixMicro(5).UTC(), Unit: "a.service", Delta: Counts{1, 0, 0, 1, 1}, After: Counts{6, 4, 3, 3, 2}},
		{Kind: Many, Time: at, Until: at.Add(time.Hour), Monotonic: 1 << 60, Boot: "b", Unit: "ä b", Up: time.Millisecond, Down: 24 * 365 * time.Hour, Delta: Counts{-1, 2, 3, 0, 1e12}, Flags: Untold},
		{Kind: Crash, Time: at, From: "active", Rule: "down-after-run", Result: "signal", Code: 2, Status: -1, Invocation: [16]byte{15: 1}, Unit: "a.service", Delta: Counts{Crashes: 1}},
		{Kind: Monitor, Time: at, To: "started"},
		{Kind: Clock, Time: at, Monotonic: 7, Boot: "b", From: "1970-01-01T00:01:10.5Z", To: "2026-11-27T10:00:00-03:30"},
		{Kind: Gap, Flags: AtLeast, Time: at, Until: at.Add(time.Hour), To: GapClosed},
	}
	dir := filepath.Join(t.TempDir(), "c")
	s, _, _ := mustOpen(t, dir, Smallest)
	var written files.Meter
	s.Meter(&written)
	mustAppend(t, s, want)
	if n := written.Bytes(); n <= uint64(s.segment) || n > uint64(s.segment+pageSize) { // the zeros of a segment, and one page at most
		t.Errorf("wrote %d bytes into a segment of %d", n, s.segment)
	}
	got, damages := mustRead(t, dir)
	if diff := cmp.Diff(want, got, equal); diff != "" || len(damages) > 0 {
		t.Errorf("(-want +got), %v:\n%s", damages, diff)
	}
	if got[4].Seq-got[0].Seq != 4 {
		t.Errorf("numbers from %d to %d", got[0].Seq, got[4].Seq)
	}
}

// The numbers of the kinds are in the files. A file of an older version has the same kinds.
func TestKindNumbers(t *testing.T) {
	for i, name := range []string{"none", "start", "stop", "crash", "unknown-end", "restart", "gave-up", "seen", "forgotten", "monitor", "many", "clock", "gap"} {
		if got := Kind(i).String(); got != name {
			t.Errorf("kind %d is %s, was %s", i, got, name)
		}
	}
}

// What the monitor tells of itself adds nothing to the counts of any unit. A gap that is open stays
// the last one, also if later records are about something else.
func TestSumsOfItself(t *testing.T) {
	var s Sums
	at := time.Unix(1_800_000_000, 0)
	for i, r := range []Record{
		{Kind: Seen, Time: at, Unit: "a.service"},
		{Kind: Monitor, Time: at, To: Started},
		{Kind: Gap, Time: at, To: GapOpened},
		{Kind: Clock, Time: at.Add(time.Hour), Monotonic: 5},
		{Kind: UnknownEnd, Flags: AtLeast, Time: at, Unit: "a.service", Delta: Counts{Unknown: 1}, After: Counts{Unknown: 1}},
	} {
		r.Seq = uint64(i + 1)
		s.Add(&r)
	}
	if len(s.Units) != 1 || s.Units["a.service"].After != (Counts{Unknown: 1}) || len(s.Faults) > 0 {
		t.Errorf("%+v", s)
	}
	if s.Clocks.Kind != Clock || s.Gap.Seq != 3 || s.Gap.Flags != AtLeast {
		t.Errorf("%+v, %+v", s.Clocks, s.Gap)
	}
	s.Add(&Record{Kind: Gap, Time: at, To: GapClosed})
	s.Add(&Record{Kind: UnknownEnd, Flags: AtLeast, Time: at, Unit: "a.service", Delta: Counts{Unknown: 1}, After: Counts{Unknown: 2}})
	if s.Gap.To != GapClosed || s.Gap.Flags != 0 {
		t.Errorf("%+v", s.Gap)
	}
}

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

// TestReadAfter reads on after each record. It does not look into segments that have only earlier
// ones.
func TestReadAfter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s, _, _ := mustOpen(t, dir, Smallest)
	mustAppend(t, s, records(900))
	names, err := segments(dir)
	if err != nil || len(names) < 4 {
		t.Fatalf("%d segments, %v", len(names), err)
	}
	all, _ := mustRead(t, dir)
	after := func(seq uint64) (got []Record, damages []Damage) {
		damages, err := ReadAfter(dir, seq, func(r *Record) bool { got = append(got, *r); return true })
		if err != nil {
			t.Fatal(err)
		}
		return got, damages
	}
	for i := range all {
		if got, _ := after(all[i].Seq); len(got) != len(all)-i-1 || len(got) > 0 && got[0].Seq != all[i+1].Seq {
			t.Fatalf("%d of %d records after number %d", len(got), len(all), i)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, names[0]), []byte("damaged, and so it would be told"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, damages := after(0); len(damages) == 0 {
		t.Error("no damage")
	}
	if got, damages := after(all[len(all)-2].Seq); len(got) != 1 || len(damages) > 0 {
		t.Errorf("%d records, %v", len(got), damages)
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

// A power cut may leave any part of the last write. The records before are there, and the next ones
// come after them.
func TestTornTail(t *testing.T) {
	const before = 20
	base := t.TempDir()
	s, _, _ := mustOpen(t, base, Smallest)
	all := records(before + 2)
	mustAppend(t, s, all[:before])
	from := s.at
	mustAppend(t, s, all[before:before+1])
	to := s.at
	path := filepath.Join(base, s.names[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := from; cut < to; cut++ {
		dir := t.TempDir()
		torn := slices.Clone(whole)
		clear(torn[cut:to])
		if err := os.WriteFile(filepath.Join(dir, s.names[0]), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, damages := mustRead(t, dir); len(got) != before || len(damages) > 0 {
			t.Fatalf("cut at %d: %d records, %v", cut, len(got), damages)
		}
		again, had, damages := mustOpen(t, dir, Smallest)
		if len(had) != before || len(damages) > 0 {
			t.Fatalf("cut at %d: opened with %d records, %v", cut, len(had), damages)
		}
		mustAppend(t, again, all[before+1:])
		got, damages := mustRead(t, dir)
		if want := append(slices.Clone(all[:before]), all[before+1]); len(damages) > 0 || cmp.Diff(want, got, equal) != "" {
			t.Fatalf("cut at %d: %v, %s", cut, damages, cmp.Diff(want, got, equal))
		}
	}
}

// A flipped bit costs at most the rest of its page, and is reported. It is never taken for a
// record. If the store is opened, the bit stays as it is.
func TestDamage(t *testing.T) {
	base := t.TempDir()
	s, _, _ := mustOpen(t, base, 1<<20)
	all := records(300)
	mustAppend(t, s, all)
	path := filepath.Join(base, s.names[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known := map[[16]byte]bool{}
	for _, r := range all {
		known[r.Invocation] = true
	}
	for flip := 3; flip < 2*pageSize; flip += 41 {
		dir := t.TempDir()
		bad := slices.Clone(whole)
		bad[flip] ^= 1 << (flip % 8)
		if err := os.WriteFile(filepath.Join(dir, s.names[0]), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		again, had, damages := mustOpen(t, dir, 1<<20)
		if again.Close(); len(had) == len(all) && len(damages) == 0 && slices.Equal(bad[flip:flip+1], whole[flip:flip+1]) {
			t.Fatalf("byte %d: nothing is noticed", flip)
		}
		for _, r := range had {
			if !known[r.Invocation] {
				t.Fatalf("byte %d: there was no %+v", flip, r)
			}
		}
		if lost := len(all) - len(had); lost > 100 {
			t.Fatalf("byte %d: %d records are lost", flip, lost)
		}
		if unused := whole[flip] == 0 && len(had) == len(all); !unused && len(damages) != 1 {
			t.Fatalf("byte %d: %d records, %v", flip, len(had), damages)
		}
		if now, err := os.ReadFile(filepath.Join(dir, s.names[0])); err != nil || !slices.Equal(now, bad) {
			t.Fatalf("byte %d: the file was changed: %v", flip, err)
		}
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

// FuzzDecode decodes pages that anybody may have written.
func FuzzDecode(f *testing.F) {
	var p page
	var b []byte
	for _, r := range records(3) {
		b = p.append(b, &r)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newScanner()
		s.data = b
		s.each(func(r *Record) bool {
			_ = r.Kind.String()
			return true
		})
		// Behind a good checksum, anything may stand, too.
		if len(b) > head {
			b[0], b[1] = byte(len(b)-head), byte((len(b)-head)>>8)
			sum := checksum(b)
			b[2], b[3], b[4], b[5] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
			s.each(func(*Record) bool { return true })
		}
	})
}

// BenchmarkOneUnit reads all events of one unit out of a full store.
func BenchmarkOneUnit(b *testing.B) {
	dir := b.TempDir()
	s, _, _ := mustOpen(b, dir, 16<<20)
	mustAppend(b, s, records(100_000))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		_, err := Read(dir, func(r *Record) bool {
			if r.Unit == "wirepas-sink-ttyUSB3.service" {
				n++
			}
			return true
		})
		if err != nil || n == 0 {
			b.Fatal(n, err)
		}
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

// A power cut takes the last record, and the clock is set back. The number of that record is not
// used again.
func TestNumberOfLostRecord(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := mustOpen(t, dir, Smallest)
	s.seq += 1 << 40 // the clock was ahead
	all := records(3)
	mustAppend(t, s, all[:2])
	before := s.at
	mustAppend(t, s, all[2:])
	if err := s.file.Truncate(int64(before)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	lost := all[2].Seq
	s, _, _ = mustOpen(t, dir, Smallest)
	if mustAppend(t, s, all[2:]); all[2].Seq <= lost {
		t.Errorf("number %d after %d", all[2].Seq, lost)
	}
}

// If a record follows damage in the last page, the damage is not just the part of a write.
func TestDamageInLastPage(t *testing.T) {
	base := t.TempDir()
	s, _, _ := mustOpen(t, base, Smallest)
	all, ends := records(20), []int{0}
	for i := range all {
		mustAppend(t, s, all[i:i+1])
		ends = append(ends, s.at)
	}
	whole, err := os.ReadFile(filepath.Join(base, s.names[0]))
	if err != nil {
		t.Fatal(err)
	}
	damage := func(what string, change func(b []byte)) {
		dir := t.TempDir()
		path := filepath.Join(dir, s.names[0])
		bad := slices.Clone(whole)
		change(bad)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		again, had, damages := mustOpen(t, dir, Smallest)
		if len(had) >= len(all) || len(damages) != 1 {
			t.Fatalf("%s: %d records, %v", what, len(had), damages)
		}
		mustAppend(t, again, all[:2])
		if got, damages := mustRead(t, dir); len(got) != len(had)+2 || len(damages) != 1 {
			t.Fatalf("%s: then %d records, %v", what, len(got), damages)
		}
		if is, err := os.ReadFile(path); err != nil || !slices.Equal(is[:pageSize], bad[:pageSize]) {
			t.Fatalf("%s: the page was changed: %v", what, err)
		}
	}
	for i := range 19 {
		for flip := ends[i]; flip < ends[i+1]; flip += 1 + (flip-ends[i])*10 { // each byte of the length, and some behind
			damage(fmt.Sprintf("byte %d", flip), func(b []byte) { b[flip] ^= 1 << (flip % 8) })
		}
		damage(fmt.Sprintf("no record %d", i), func(b []byte) { clear(b[ends[i]:ends[i+1]]) })
	}
	damage("a kind of a later version", func(b []byte) {
		last := b[ends[19]:ends[20]]
		last[head] = byte(kinds)
		binary.LittleEndian.PutUint32(last[2:], checksum(last))
	})
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
