package statefile

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/files"
	"service-monitor/stages/statefile/format/formattest"
)

// TestSaveWritesNothingTwice wants a save to write nothing if the file has that content
// already, and to write any other content.
func TestSaveWritesNothingTwice(t *testing.T) {
	units := formattest.Many(100) // larger than the part that is compared at once
	for _, tt := range []struct {
		name string
		edit func(text string) string
		kept bool
	}{
		{"the same", func(text string) string { return text }, true},
		{"more", func(text string) string { return text + "\n" }, false},
		{"less", func(text string) string { return text[:len(text)-1] }, false},
		{"another at the end", func(text string) string { return text[:len(text)-2] + " \n" }, false},
		{"nothing", func(string) string { return "" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			var first, second files.Meter
			f.Meter(&first)
			if err := f.Save(units); err != nil {
				t.Fatal(err)
			}
			f.Meter(&second)
			want := read(t, f.path)
			put(t, f.path, tt.edit(want))
			was, err := os.Stat(f.path)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Save(units); err != nil {
				t.Fatal(err)
			}
			if got := read(t, f.path); got != want {
				t.Error("the file is not what was saved")
			}
			if is, err := os.Stat(f.path); err != nil || os.SameFile(was, is) != tt.kept {
				t.Errorf("the same file %v, want %v (%v)", !tt.kept, tt.kept, err)
			}
			all := uint64(len(want))
			again := all
			if tt.kept {
				again = 0
			}
			if first.Bytes() != all || second.Bytes() != again {
				t.Errorf("wrote %d bytes and then %d, want %d and %d", first.Bytes(), second.Bytes(), all, again)
			}
		})
	}
}

// TestSaveTheSame saves the same state again. Nothing is written, because flash wears out,
// and the generation before stays the one before.
func TestSaveTheSame(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	save(t, f, 2)
	was, err := os.Stat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	save(t, f, 2)
	now, err := os.Stat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(was, now) {
		t.Error("the same state was written again")
	}
	if diff := cmp.Diff(text(t, 1), read(t, f.path+previousSuffix)); diff != "" {
		t.Errorf("generation before (-want +got):\n%s", diff)
	}
}
