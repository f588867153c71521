package store

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/files"
)

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
