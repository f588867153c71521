package cursor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"service-monitor/pipeline/pipelinetest"

	"github.com/google/go-cmp/cmp"
)

// TestRandomLives moves, saves, kills and cuts the power at random. After a kill the last position is there. After
// a power cut it is that of the last save, or a later one if a save had failed since.
func TestRandomLives(t *testing.T) {
	for seed := range pipelinetest.Seeds(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		dir, run := t.TempDir(), memory(t)
		f, at := mustOpen(t, dir, run)
		saved := at.clone()
		var maybe []Position // of saves that have failed since
		var broken bool
		life := func(is ...Position) {
			f.release()
			var got Position
			f, got = mustOpen(t, dir, run)
			for _, p := range is {
				if cmp.Equal(got, p) {
					at = got.clone()
					return
				}
			}
			t.Fatalf("seed %d: %+v, want one of %+v; %v", seed, got, is, f.Notes())
		}
		for range 120 {
			switch r.IntN(8) {
			case 0, 1, 2, 3:
				at.Seq, at.Mark = at.Seq+1+r.Uint64N(9), fmt.Sprint(r.Uint64())
				for range r.IntN(4) {
					if unit := fmt.Sprint(r.IntN(200), ".service"); r.IntN(4) == 0 {
						delete(at.Units, unit)
					} else {
						at.Units[unit] = r.Uint64N(1 << 40)
					}
				}
				mustMove(t, f, at)
			case 4, 5:
				broken = r.IntN(3) == 0
				f.durable.sync = func(fd int) error {
					if broken {
						return errors.New("the disk is gone")
					}
					return fdatasync(fd)
				}
				if err := f.Save(); (err != nil) != (broken && !f.Due().IsZero()) {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if f.Due().IsZero() {
					saved, maybe = at.clone(), nil
				} else {
					maybe = append(maybe, at.clone())
				}
			case 6:
				life(at)
			case 7:
				cut(t, r, f, run)
				life(append(maybe, saved)...)
				saved, maybe = at.clone(), nil
			}
		}
	}
}

// cut does to the files what a power cut does: nothing is left of those in memory, and what was being written to
// the other slot of the durable one may be anything.
func cut(t *testing.T, r *rand.Rand, f *File, run string) {
	t.Helper()
	left, err := filepath.Glob(run + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if d := &f.durable; d.file != nil && r.IntN(2) == 0 {
		torn := make([]byte, r.IntN(d.slot))
		for i := range torn {
			torn[i] = byte(r.Uint32())
		}
		if _, err := d.file.WriteAt(torn, int64((1-d.newest)*d.slot)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBudget moves the cursor every second for days, and starts the program again every few hours. On no day more
// than the budget reaches the device.
func TestBudget(t *testing.T) {
	for _, n := range []int{1, 12, 1000, 5000} {
		synctest.Test(t, func(t *testing.T) {
			line, err := encode(&content{Version: version, ID: newID(), Units: units(n)})
			if err != nil {
				t.Fatal(err)
			}
			type write struct {
				at    time.Time
				bytes int
			}
			slot := blocks(len(line) + len(line)/4)
			p, writes := pace{}, []write{}
			spend := func(bytes int) {
				p.spent(time.Now(), bytes, slot)
				writes = append(writes, write{time.Now(), bytes})
			}
			spend(2*slot + perFile)
			for second := range 4 * 24 * 3600 {
				time.Sleep(time.Second)
				p.changed(time.Now())
				if !time.Now().Before(p.due()) {
					p.first = time.Time{}
					spend(blocks(len(line)) + perSave)
				}
				if second%(5*3600) == 0 && len(writes) > 1 {
					last := writes[len(writes)-1]
					p = pace{}
					p.resume(time.Now(), last.at, last.bytes, slot)
				}
			}
			for i, from := range writes {
				sum := 0
				for _, w := range writes[i:] {
					if w.at.Sub(from.at) < day {
						sum += w.bytes
					}
				}
				if sum > budget {
					t.Errorf("%d units: %d bytes in the day from %v", n, sum, from.at)
				}
			}
			t.Logf("%d units: %d saves in 4 days", n, len(writes))
		})
	}
}
