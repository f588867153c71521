package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

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

// A disk loses some of what it held. That costs the records of those pages, and is reported. The next records
// come behind the last page that was lost.
func TestLostPages(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := mustOpen(t, dir, 1<<20)
	all := records(300)
	mustAppend(t, s, all)
	whole, err := os.ReadFile(filepath.Join(dir, s.names[0]))
	if err != nil {
		t.Fatal(err)
	}
	read := func(lost ...int) (kept int, scan *scanner, last end) {
		scan = newScanner()
		if err := scan.fill(failing{whole, lost}); err != nil {
			t.Fatal(err)
		}
		_, last = scan.each(func(*Record) bool { kept++; return true })
		return kept, scan, last
	}
	if kept, scan, _ := read(); kept != len(all) || len(scan.bad) > 0 {
		t.Fatalf("%d records, damage at %v", kept, scan.bad)
	}
	if s.page < 2 {
		t.Fatalf("the records take %d pages, so no page is in the middle", s.page+1)
	}
	middle, end := pageSize, s.page*pageSize
	kept, scan, last := read(middle, end)
	if kept == 0 || kept >= len(all) || !slices.Equal(scan.bad, []int{middle, end}) || last.page != s.page || !last.bad {
		t.Errorf("%d records, damage at %v, the end is %+v", kept, scan.bad, last)
	}
	if kept, _, _ := read(); kept != len(all) {
		t.Errorf("%d records when it can be read again", kept)
	}
}

// Failing is a file of which the disk cannot read some pages.
type failing struct {
	data []byte
	lost []int
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	for _, lost := range f.lost {
		if int64(lost) < at+int64(len(b)) && int64(lost+pageSize) > at {
			return 0, &os.PathError{Op: "read", Path: "segment", Err: unix.EIO}
		}
	}
	return bytes.NewReader(f.data).ReadAt(b, at)
}
