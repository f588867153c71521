package store

import (
	"os"
	"path/filepath"
	"testing"
)

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
