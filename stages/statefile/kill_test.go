package statefile

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/count"
)

// writerEnv is set for a process of this test binary that saves until it is killed.
const writerEnv = "PERSIST_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		fmt.Println(saveForever(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// saveForever saves generation after generation and prints the number of each.
func saveForever(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	units, damage, err := f.Load()
	if err != nil || damage != nil {
		return errors.Join(error(damage), err)
	}
	for n := last(units) + 1; ; n++ {
		if err := f.Save(generation(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// last returns the number of a generation; 0 if there are no units.
func last(units map[string]*count.Tally) uint64 {
	if tally := units["a.service"]; tally != nil {
		return tally.Starts
	}
	return 0
}

// TestKill kills a monitor at any moment. The file is complete: it has the last generation
// that the monitor has acknowledged, or the one it was saving.
func TestKill(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 5
	}
	r := rand.New(rand.NewPCG(1, 4))
	path := filepath.Join(t.TempDir(), "s.json")
	for i := range kills {
		acknowledged := killed(t, path, time.Duration(r.IntN(10_000))*time.Microsecond)
		f, err := Open(path) // the lock ended with the process
		if err != nil {
			t.Fatal(err)
		}
		units := loaded(t, f)
		n := last(units)
		if n != acknowledged && n != acknowledged+1 {
			t.Fatalf("kill %d: generation %d is there, %d was acknowledged", i, n, acknowledged)
		}
		same(t, generation(n), units)
		if previous, _, err := Read(path + previousSuffix); n > 1 && (err != nil || last(previous)+1 < n) {
			t.Fatalf("kill %d: generation %d before %d (%v)", i, last(previous), n, err)
		}
		f.Close()
	}
}

// killed starts a monitor that saves, kills it some time after its first save, and returns
// the last generation that it has acknowledged.
func killed(t *testing.T, path string, after time.Duration) (acknowledged uint64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	writer := exec.Command(self)
	writer.Env = append(os.Environ(), writerEnv+"="+path)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Errorf("the writer says %q", lines.Text())
		}
		if acknowledged == 0 {
			time.AfterFunc(after, func() { writer.Process.Kill() })
		}
		acknowledged = n
	}
	if err := writer.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the writer ended with %v", err)
	}
	return acknowledged
}

// TestLeftovers wants no harm from files that a kill during a save leaves behind.
func TestLeftovers(t *testing.T) {
	two, three := text(t, 2), text(t, 3)
	for _, tt := range []struct {
		name string
		left map[string]string // contents by suffix
	}{
		{"killed while writing", map[string]string{tempSuffix: three[:50]}},
		{"killed before writing", map[string]string{tempSuffix: ""}},
		{"killed while keeping the generation before", map[string]string{tempSuffix: three, previousSuffix + tempSuffix: two}},
		{"killed before renaming", map[string]string{tempSuffix: three, previousSuffix: two}},
		{"killed while copying for a removal", map[string]string{removedSuffix + tempSuffix: two[:9]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			save(t, f, 1)
			save(t, f, 2)
			for suffix, text := range tt.left {
				os.Remove(f.path + suffix)
				// As if root owned it: the monitor can replace the file but not write it.
				if err := os.WriteFile(f.path+suffix, []byte(text), 0o400); err != nil {
					t.Fatal(err)
				}
			}
			same(t, generation(2), loaded(t, f))
			save(t, f, 4)
			if err := f.KeepRemoved(); err != nil {
				t.Fatal(err)
			}
			same(t, generation(4), loaded(t, f))
			want := []string{"service_states.json", "service_states.json.before-removal", "service_states.json.previous"}
			if diff := cmp.Diff(want, beside(t, f.path)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(two, read(t, f.path+previousSuffix)); diff != "" {
				t.Errorf("generation before (-want +got):\n%s", diff)
			}
		})
	}
}
