package statefile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/files/filestest"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/statefile/format/formattest"
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

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func newFile(t *testing.T) *File {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "service_states.json"))
}

// generation returns a state that holds its own number, so that a test recognizes it.
func generation(n uint64) map[string]*count.Tally {
	units := make(map[string]*count.Tally)
	for _, unit := range []string{"a.service", "b.service", `c\x2dd@1.service`} {
		units[unit] = &count.Tally{Unit: unit, State: "active", Starts: n}
	}
	return units
}

// last returns the number of a generation; 0 if there are no units.
func last(units map[string]*count.Tally) uint64 {
	if tally := units["a.service"]; tally != nil {
		return tally.Starts
	}
	return 0
}

// text returns the content of the state file with generation(n).
func text(t *testing.T, n uint64) string {
	t.Helper()
	f := newFile(t)
	save(t, f, n)
	return read(t, f.path)
}

func save(t *testing.T, f *File, n uint64) {
	t.Helper()
	if err := f.Save(generation(n)); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// loaded loads a state file that must exist and be undamaged.
func loaded(t *testing.T, f *File) map[string]*count.Tally {
	t.Helper()
	units, damage, err := f.Load()
	if err != nil || damage != nil {
		t.Fatalf("Load: damage %v, error %v", damage, err)
	}
	return units
}

func same(t *testing.T, want, got map[string]*count.Tally) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("units (-want +got):\n%s", diff)
	}
}

// beside lists the directory of path without the lock file.
func beside(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), files.LockSuffix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestSaveMode(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	info, err := os.Stat(f.path)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, want people to be able to read it (%v)", info.Mode(), err)
	}
}

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

func BenchmarkSave(b *testing.B) {
	for _, n := range []int{12, 200, 10_000} {
		b.Run(fmt.Sprint(n, " units"), func(b *testing.B) {
			f, err := Open(filepath.Join(b.TempDir(), "service_states.json"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			units := formattest.Many(n)
			tally := units["bench-6.service"]
			b.ReportAllocs()
			for b.Loop() {
				tally.Crashes++
				if err := f.Save(units); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestLoadPython(t *testing.T) {
	const six = `{"a.service": {"last_state": "active", "last_change_time": %s, "starts": 5, "stops": 3, "crashes": 1, "logged_unloaded": false}}`
	changed := time.Date(2025, 7, 7, 10, 15, 23, 0, time.Local)
	counted := count.Tally{Unit: "a.service", State: "active", Starts: 5, Stops: 3, Crashes: 1}
	for _, tt := range []struct {
		name string
		text string
		want func(*count.Tally)
	}{
		{"six keys", fmt.Sprintf(six, `"2025-07-07 10:15:23"`), func(u *count.Tally) { u.Changed = changed }},
		{"never changed", fmt.Sprintf(six, `null`), func(*count.Tally) {}},
		{"never changed, empty", fmt.Sprintf(six, `""`), func(*count.Tally) {}},
		{"another format of time", fmt.Sprintf(six, `"2025-07-07T10:15:23Z"`), func(u *count.Tally) {
			u.Changed = time.Date(2025, 7, 7, 10, 15, 23, 0, time.UTC)
		}},
		{"no time", `{"a.service": {"last_state": "active", "starts": 5, "stops": 3, "crashes": 1}}`, func(*count.Tally) {}},
		{"unloaded", `{"a.service": {"last_state": "unloaded", "starts": 5, "stops": 3, "crashes": 1, "logged_unloaded": true}}`, func(u *count.Tally) {
			u.State, u.LoggedUnloaded = "unloaded", true
		}},
		{"one line, other order, a key of another version", `{"a.service":{"x":[1],"crashes":1,"stops":3,"starts":5,"last_state":"active"}}`, func(*count.Tally) {}},
		{"saved by an editor on Windows", "\uFEFF" + strings.ReplaceAll(fmt.Sprintf(six, "null"), ",", ",\r\n"), func(*count.Tally) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			put(t, f.path, tt.text)
			want := counted
			tt.want(&want)
			same(t, map[string]*count.Tally{"a.service": &want}, loaded(t, f))
		})
	}
}

func TestRoundTrip(t *testing.T) {
	f := newFile(t)
	want := map[string]*count.Tally{formattest.Full().Unit: formattest.Full(), "never.service": {Unit: "never.service", State: "unloaded", LoggedUnloaded: true}}
	for range 2 {
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		same(t, want, loaded(t, f))
	}
}

// TestSecondsInTheFile wants the boot and the time of a phase in the file only if the cursor of the life
// does not show them.
func TestSecondsInTheFile(t *testing.T) {
	at := time.Date(2025, 7, 7, 10, 15, 23, 0, time.UTC)
	cursor := func(boot string) records.Place {
		return records.Place(fmt.Sprintf("b=%s;m=%x;t=%x", boot, 90_000_000, at.Add(20*time.Second).UnixMicro()))
	}
	for _, tt := range []struct {
		name   string
		at     time.Time
		cursor records.Place
		keys   []string
	}{
		{"the cursor shows both", at, cursor("b"), []string{"monotonic_usec"}},
		{"it is of another boot", at, cursor("c"), []string{"since", "boot_id", "monotonic_usec"}},
		{"the clock was not trusted", time.Time{}, cursor("b"), []string{"boot_id", "monotonic_usec"}},
		{"there is no cursor", at, "", []string{"since", "boot_id", "monotonic_usec"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			u := formattest.Running("a.service", 10)
			u.Life.Cursor = tt.cursor
			u.Times = count.Times{Spent: count.Spent{count.Up: time.Hour, count.Down: time.Second / 2}, Phase: count.Up, Clock: 70_000_000, Boot: "b", At: tt.at}
			want := map[string]*count.Tally{"a.service": u}
			if err := f.Save(want); err != nil {
				t.Fatal(err)
			}
			var keys []string
			text := read(t, f.path)
			for _, key := range []string{"since", "boot_id", "monotonic_usec"} {
				if strings.Contains(text, `"`+key+`": `) {
					keys = append(keys, key)
				}
			}
			if diff := cmp.Diff(tt.keys, keys); diff != "" || !strings.Contains(text, `"up": 3600`) || !strings.Contains(text, `"down": 0.5`) || strings.Contains(text, `"stopped"`) {
				t.Errorf("keys (-want +got):\n%s\n%s", diff, text)
			}
			same(t, want, loaded(t, f))
		})
	}
}

// TestClockInTheFile wants a mark beside a time only if that is untrusted. The monotonic
// clock of a crash is in the file only if its boot is known.
func TestClockInTheFile(t *testing.T) {
	crashed := time.Date(1970, 1, 1, 0, 1, 10, 0, time.UTC)
	last := &count.Crash{Time: crashed, Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "01"}
	for _, tt := range []struct {
		name   string
		tally  count.Tally
		keys   []string // which of the keys above the file has
		loaded func(*count.Tally)
	}{
		{"trusted", count.Tally{LastCrash: last}, nil, nil},
		{"change not trusted", count.Tally{Changed: crashed, ChangedUntrusted: true}, []string{`"last_change_untrusted": true`}, nil},
		{"crash not trusted", count.Tally{LastCrash: with(last, func(c *count.Crash) { c.Untrusted = true })}, []string{`"untrusted": true`}, nil},
		{"in a boot", count.Tally{LastCrash: with(last, func(c *count.Crash) { c.Boot, c.Clock = "b", 70_000_000 })},
			[]string{`"boot_id": "b"`, `"monotonic_usec": 70000000`}, nil},
		{"in a boot that is not known", count.Tally{LastCrash: with(last, func(c *count.Crash) { c.Clock = 70_000_000 })}, nil,
			func(t *count.Tally) { t.LastCrash.Clock = 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			tt.tally.Unit, tt.tally.State = "a.service", "active"
			if err := f.Save(map[string]*count.Tally{"a.service": &tt.tally}); err != nil {
				t.Fatal(err)
			}
			var keys []string
			for line := range strings.Lines(read(t, f.path)) {
				for _, key := range []string{"untrusted", "boot_id", "monotonic_usec"} {
					if strings.Contains(line, key) {
						keys = append(keys, strings.Trim(line, " ,\n"))
					}
				}
			}
			if diff := cmp.Diff(tt.keys, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if tt.loaded != nil {
				tt.loaded(&tt.tally)
			}
			same(t, map[string]*count.Tally{"a.service": &tt.tally}, loaded(t, f))
		})
	}
}

func with(c *count.Crash, change func(*count.Crash)) *count.Crash {
	changed := *c
	change(&changed)
	return &changed
}

// TestLoadWithoutClock loads a file of an earlier version, which has neither marks nor
// clocks, and a clock without a boot ID: it could belong to any boot, so it is dropped.
func TestLoadWithoutClock(t *testing.T) {
	crash := &count.Crash{Time: time.Date(2025, 7, 7, 10, 15, 22, 0, time.UTC), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "01"}
	for _, more := range []string{"", `, "monotonic_usec": 5`} {
		f := newFile(t)
		put(t, f.path, `{"a.service": {"last_state": "active", "starts": 0, "stops": 0, "crashes": 1, "crash_causes": {"signal": 1},
			"last_crash": {"time": "2025-07-07T10:15:22Z", "result": "signal", "code": 2, "status": 9, "invocation": "01"`+more+`}}}`)
		want := count.Tally{Unit: "a.service", State: "active", Crashes: 1, CrashCauses: []count.CauseCount{{Result: "signal", Crashes: 1}}, LastCrash: crash}
		same(t, map[string]*count.Tally{"a.service": &want}, loaded(t, f))
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

func TestLoadNothing(t *testing.T) {
	f := newFile(t)
	if _, _, err := Read(f.path); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("Read: %v, want that there is no file", err)
	}
	if units := loaded(t, f); units == nil || len(units) > 0 {
		t.Errorf("loaded %v, want an empty state", units)
	}
}

// TestLoadGone wants a missing state file to be reported only if a state was ever saved.
func TestLoadGone(t *testing.T) {
	gone := func(t *testing.T, f *File) {
		for _, path := range []string{f.path, f.path + previousSuffix} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, f *File)
		want bool
	}{
		{"first start", func(*testing.T, *File) {}, false},
		{"saved", func(t *testing.T, f *File) { save(t, f, 1); gone(t, f) }, true},
		{"saved twice", func(t *testing.T, f *File) { save(t, f, 1); save(t, f, 2); gone(t, f) }, true},
		{"loaded, as one that was taken over", func(t *testing.T, f *File) {
			put(t, f.path, text(t, 1))
			loaded(t, f)
			gone(t, f)
		}, true},
		{"by a monitor that made no mark", func(t *testing.T, f *File) { put(t, f.path+files.LockSuffix, "") }, true},
		{"cleared", func(t *testing.T, f *File) {
			save(t, f, 1)
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"cleared and saved", func(t *testing.T, f *File) {
			save(t, f, 1)
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
			save(t, f, 2)
			gone(t, f)
		}, true},
		{"never saved, and the lock lost", func(t *testing.T, f *File) {
			os.Remove(f.path + files.LockSuffix)
			if err := f.Lost(); err != nil {
				t.Errorf("Lost: %v", err)
			}
		}, false},
		{"with its lock", func(t *testing.T, f *File) { save(t, f, 1); gone(t, f); os.Remove(f.path + files.LockSuffix) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			tt.do(t, f)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 { // killed before the first save
				f := open(t, f.path)
				units, notes, err := f.Load()
				if err != nil || f.Gone() != tt.want || strings.Contains(notes.Error(), ErrGone.Error()) != tt.want || len(units) > 0 {
					t.Errorf("Load: %d units, %v, error %v; gone: %v, want %v", len(units), notes, err, f.Gone(), tt.want)
				}
				f.Close()
			}
		})
	}
}

// TestLoadTooLarge wants a file that is too large to be kept aside like a damaged one, and
// not to be read.
func TestLoadTooLarge(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	save(t, f, 2)
	if err := os.Truncate(f.path, largestEver+1); err != nil { // a sparse file takes no room
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	units, notes, err := f.Load()
	runtime.ReadMemStats(&after)
	if err != nil || !strings.Contains(notes.Error(), files.ErrTooLarge.Error()) || !strings.Contains(notes.Error(), "kept as ") {
		t.Errorf("Load: %v, error %v, want %v", notes, err, files.ErrTooLarge)
	}
	same(t, generation(1), units)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("it took %d bytes of memory", used)
	}
}

// TestLoadKinds puts something else than a regular file in the place of the state file or
// of the generation before. Load refuses it at once and leaves it as it is.
func TestLoadKinds(t *testing.T) {
	kinds := map[string]func(path string) error{
		"a directory":     func(path string) error { return os.Mkdir(path, 0o755) },
		"a named pipe":    func(path string) error { return unix.Mkfifo(path, 0o644) },
		"a socket":        func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o644, 0) },
		"a symbolic link": func(path string) error { return os.Symlink("/dev/zero", path) },
	}
	for name, kind := range kinds {
		for _, suffix := range []string{"", previousSuffix} {
			t.Run(name+suffix, func(t *testing.T) {
				f := newFile(t)
				if err := kind(f.path + suffix); err != nil {
					t.Fatal(err)
				}
				_, _, err := f.Load()
				if !errors.Is(err, files.ErrKind) || !strings.Contains(err.Error(), "it is "+name) {
					t.Errorf("Load: %v, want that it is %s", err, name)
				}
				if left, err := filepath.Glob(f.path + "*"); err != nil || len(left) != 2 {
					t.Errorf("files %v (%v), want it and the lock", left, err)
				}
			})
		}
	}
}

// damaged are texts that are no state file.
var damaged = map[string]string{
	"empty":                    "",
	"null":                     "null",
	"zeros":                    strings.Repeat("\x00", 512),
	"binary":                   "\x7fELF\x02\x01\x01\xff\xfe",
	"array":                    `[{"a.service": {}}]`,
	"string":                   `"a.service"`,
	"number":                   "5",
	"two objects":              `{}{}`,
	"an object and more":       `{"a.service": {"starts": 5}}x`,
	"a name that has no end":   `{"a.service: {"starts": 5}}`,
	"a record that has no end": `{"a.service": {"starts": 5, "stops`,
	"UTF-16":                   "\xff\xfe{\x00}\x00",
}

// TestDamageIsNamed wants the error to say where a file that somebody edited is wrong.
func TestDamageIsNamed(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "line 1: unexpected end of JSON input"},
		{"cut short", "{\n  \"a.service\": {\n    \"starts\"", "line 3: unexpected end of JSON input"},
		{"no object", `[{"a.service": {}}]`, "array, not an object"},
		{"null", "null", "null, not an object"},
		{"two objects", "{\n}\n{}", "line 3: invalid character '{' after top-level value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.json")
			put(t, path, tt.text)
			_, _, err := Read(path)
			if want := "state file " + path + " is damaged: " + tt.want; !errors.Is(err, ErrDamaged) || err.Error() != want {
				t.Errorf("error (-want +got):\n-%s\n+%v", want, err)
			}
		})
	}
}

// TestLoadDamaged loads damaged files. Each is kept as it is, the generation before takes its
// place, and the note names both files. A kill before the next save changes nothing.
func TestLoadDamaged(t *testing.T) {
	f := newFile(t)
	if err := f.Save(map[string]*count.Tally{"a.service": {Unit: "a.service", Starts: 7, FirstSeenRunning: 1}}); err != nil {
		t.Fatal(err)
	}
	whole := read(t, f.path)
	end := strings.Index(whole, "\n  }") + 1 // the end of the last value; a record that reaches there is certain
	for name, damage := range damaged {
		t.Run(name, func(t *testing.T) { loadDamaged(t, damage) })
	}
	t.Run("truncated", func(t *testing.T) {
		for n := 0; n < end; n += 7 {
			loadDamaged(t, whole[:n])
		}
	})
}

func loadDamaged(t *testing.T, damage string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "service_states.json")
	f := open(t, path)
	save(t, f, 1)
	save(t, f, 2)
	put(t, path, damage)
	units, report, err := f.Load()
	if err != nil || report == nil {
		t.Fatalf("%q: damage %v, error %v", damage, report, err)
	}
	same(t, generation(1), units)
	aside, err := filepath.Glob(path + corruptSuffix + "*")
	if err != nil || len(aside) != 1 || read(t, aside[0]) != damage {
		t.Fatalf("%q: kept aside %v (%v)", damage, aside, err)
	}
	for _, part := range []string{path + " is damaged: ", "kept as " + aside[0], previousSuffix + ", with 3 services"} {
		if !strings.Contains(report.Error(), part) {
			t.Errorf("%q: report %q does not say %q", damage, report, part)
		}
	}
	same(t, generation(1), loaded(t, f)) // killed before the first save
	save(t, f, 3)
	same(t, generation(3), loaded(t, f))
	if read(t, aside[0]) != damage {
		t.Errorf("%q: what was kept aside is overwritten", damage)
	}
}

func TestLoadGenerations(t *testing.T) {
	one := text(t, 1)
	for _, tt := range []struct {
		name     string
		file     string // "-" if there is no file
		previous string
		want     uint64 // the generation that is loaded; 0 for none
		aside    int    // how many files are kept aside
		report   string
	}{
		{"missing", "-", one, 1, 0, "there is no state file DIR/s.json; continuing from the generation before, DIR/s.json.previous, with 3 services"},
		{"damaged, none before", "[", "-", 0, 1, "state file DIR/s.json is damaged: line 1: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; there is no state file DIR/s.json.previous; counting from zero"},
		{"both damaged", "[", "null", 0, 2, "state file DIR/s.json is damaged: line 1: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; " +
			"state file DIR/s.json.previous is damaged: null, not an object; kept as DIR/s.json.previous.corrupt-TIME; counting from zero"},
		{"missing, damaged before", "-", "[", 0, 1, "there is no state file DIR/s.json; state file DIR/s.json.previous is damaged: line 1: unexpected end of JSON input; " +
			"kept as DIR/s.json.previous.corrupt-TIME; counting from zero"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			f := open(t, filepath.Join(dir, "s.json"))
			for path, text := range map[string]string{f.path: tt.file, f.path + previousSuffix: tt.previous} {
				if text != "-" {
					put(t, path, text)
				}
			}
			units, damage, err := f.Load()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]*count.Tally{}
			if tt.want > 0 {
				want = generation(tt.want)
			}
			same(t, want, units)
			if diff := cmp.Diff(tt.report, mask(damage.Error(), dir)); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			aside, _ := filepath.Glob(filepath.Join(dir, "*"+corruptSuffix+"*"))
			if len(aside) != tt.aside {
				t.Errorf("kept aside %v, want %d", aside, tt.aside)
			}
			same(t, want, loaded(t, f)) // killed before the first save
		})
	}
}

// mask replaces the directory, and the times in the names of corrupt files.
func mask(s, dir string) string {
	parts := strings.Split(strings.ReplaceAll(s, dir, "DIR"), corruptSuffix)
	for i := range parts[1:] {
		parts[i+1] = "TIME" + parts[i+1][len("20060102-150405.000"):]
	}
	return strings.Join(parts, corruptSuffix)
}

// TestLoadForbidden wants an error if the monitor may not read the file: it is not damaged,
// and somebody must correct its permissions.
func TestLoadForbidden(t *testing.T) {
	f := newFile(t)
	if err := os.WriteFile(f.path, []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
	unprivileged(t, f.path, func() {
		if _, damage, err := f.Load(); damage != nil || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Load: damage %v, error %v, want permission denied", damage, err)
		}
	})
}

func TestLoadDirectory(t *testing.T) {
	f := newFile(t)
	if err := os.Mkdir(f.path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, damage, err := f.Load(); damage != nil || !errors.Is(err, files.ErrKind) {
		t.Errorf("Load: damage %v, error %v, want %v", damage, err, files.ErrKind)
	}
}

// TestLoadBadBlocks reads /proc/self/mem, whose first page is never mapped. That gives the
// same input/output error as a bad block, which is damage.
func TestLoadBadBlocks(t *testing.T) {
	if _, _, err := Read("/proc/self/mem"); !errors.Is(err, ErrDamaged) {
		t.Errorf("Read: %v, want it to be damage", err)
	}
}

// unprivileged calls f as another user, who may not write in the directory of path.
func unprivileged(t *testing.T, path string, f func()) {
	t.Helper()
	dir := filepath.Dir(path)
	if os.Geteuid() != 0 {
		os.Chmod(dir, 0o555)
		defer os.Chmod(dir, 0o755)
		f()
		return
	}
	os.Chmod(filepath.Dir(dir), 0o755) // the directory of all tests
	runtime.LockOSThread()             // setfsuid(2) changes only this thread
	defer runtime.UnlockOSThread()
	unix.Setfsuid(65534)
	defer unix.Setfsuid(0)
	f()
}

// TestSaveFails lets saves fail. The saved state stays, no file is left behind that would
// fill the disk, and a later save succeeds.
func TestSaveFails(t *testing.T) {
	if !filestest.Alone(t) {
		return
	}
	for _, tt := range []struct {
		name  string
		under func(t *testing.T, path string, f func())
		want  error
	}{
		{"the directory is read only", unprivileged, fs.ErrPermission},
		{"the disk is full", fullDisk, unix.EFBIG},
		{"the directory is gone", without, fs.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t)
			save(t, f, 1)
			save(t, f, 2)
			tt.under(t, f.path, func() {
				err := f.Save(generation(3))
				if !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "cannot save state: ") {
					t.Errorf("Save: %v, want %v", err, tt.want)
				}
			})
			same(t, generation(2), loaded(t, f))
			want := []string{"service_states.json", "service_states.json.previous"}
			if diff := cmp.Diff(want, beside(t, f.path)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			save(t, f, 3)
			same(t, generation(3), loaded(t, f))
		})
	}
}

// fullDisk calls f while files are limited to 100 bytes. A longer write writes a part, and
// the next write fails.
func fullDisk(t *testing.T, _ string, f func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &was)
	f()
}

// without calls f while the directory of path is moved away.
func without(t *testing.T, path string, f func()) {
	t.Helper()
	dir := filepath.Dir(path)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	f()
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
}

// TestSymbolicLink makes the state file a link, as people do to keep it on another disk. A
// save leaves the link and replaces the file that the link leads to, or creates it.
func TestSymbolicLink(t *testing.T) {
	for _, tt := range []struct {
		name  string
		links map[string]string
	}{
		{"absolute", map[string]string{"var/s.json": "DIR/data/s.json"}},
		{"relative", map[string]string{"var/s.json": "../data/s.json"}},
		{"of a link", map[string]string{"var/s.json": "../etc/s.json", "etc/s.json": "DIR/data/s.json"}},
		{"in a linked directory", map[string]string{"var": "data/deep", "data/deep/s.json": "../s.json"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"data/deep", "etc"} {
				os.MkdirAll(filepath.Join(dir, sub), 0o755)
			}
			if _, linked := tt.links["var"]; !linked {
				os.Mkdir(filepath.Join(dir, "var"), 0o755)
			}
			for from, to := range tt.links {
				if err := os.Symlink(strings.ReplaceAll(to, "DIR", dir), filepath.Join(dir, from)); err != nil {
					t.Fatal(err)
				}
			}
			link, data := filepath.Join(dir, "var/s.json"), filepath.Join(dir, "data/s.json")
			f := open(t, link)
			if _, err := Open(data); !errors.Is(err, files.ErrHeld) {
				t.Errorf("Open of what the link leads to: %v, want %v", err, files.ErrHeld)
			}
			for n := uint64(1); n <= 2; n++ {
				save(t, f, n)
				if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
					t.Errorf("the link is %v (%v)", info.Mode(), err)
				}
				if diff := cmp.Diff(text(t, n), read(t, data)); diff != "" {
					t.Errorf("what the link leads to (-want +got):\n%s", diff)
				}
			}
			same(t, generation(2), loaded(t, f))
		})
	}
}

func TestLinkLoop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	if err := os.Symlink("s.json", path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, unix.ELOOP) {
		t.Errorf("Open: %v, want %v", err, unix.ELOOP)
	}
}

func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	f := open(t, path)
	_, err := Open(path)
	if want := path + ": another monitor holds it"; !errors.Is(err, files.ErrHeld) || err.Error() != want {
		t.Errorf("Open: %v, want %s", err, want)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestHoldMode wants nobody but the monitor's user to be able to lock the file: another
// user could keep the monitor from starting.
func TestHoldMode(t *testing.T) {
	f := newFile(t)
	if info, err := os.Stat(f.path + files.LockSuffix); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v (%v), want nobody else to hold it", info.Mode(), err)
	}
}

func TestHoldUnwritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	unprivileged(t, path, func() {
		if _, err := Open(path); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Open: %v, want %v", err, fs.ErrPermission)
		}
	})
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

// TestAliasCopies wants a copy if there can be no hard link: on FAT, or because of
// protected_hardlinks.
func TestAliasCopies(t *testing.T) {
	to := filepath.Join(t.TempDir(), "copy")
	if err := alias("/proc/version", to); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, "/proc/version"), read(t, to)); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
}

// TestAliasOfNothing wants the generation before to stay if there is no file to replace it.
func TestAliasOfNothing(t *testing.T) {
	f := newFile(t)
	put(t, f.path+previousSuffix, "good")
	save(t, f, 1)
	if got := read(t, f.path+previousSuffix); got != "good" {
		t.Errorf("generation before: %q", got)
	}
}

// TestKeepRemovedBefore removes units again and again. The copy from before the first
// removal stays: whoever corrects a typo removes units once more.
func TestKeepRemovedBefore(t *testing.T) {
	f := newFile(t)
	for n := range uint64(removals + 2) {
		save(t, f, n+1)
		if err := f.KeepRemoved(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"service_states.json", "service_states.json.before-removal"}
	for i := range removals {
		path := f.path + removedSuffix
		if i > 0 {
			path += fmt.Sprintf(".%d", i)
			want = append(want, filepath.Base(path))
		}
		if diff := cmp.Diff(text(t, uint64(removals+2-i)), read(t, path)); diff != "" {
			t.Errorf("copy %d (-want +got):\n%s", i, diff)
		}
	}
	want = append(want, "service_states.json.previous")
	if diff := cmp.Diff(want, beside(t, f.path)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if left := beside(t, f.path); len(left) != 0 {
		t.Errorf("Remove left %q", left)
	}
}

func TestKeepRemoved(t *testing.T) {
	f := newFile(t)
	if err := f.KeepRemoved(); err != nil {
		t.Errorf("KeepRemoved with nothing saved: %v", err)
	}
	save(t, f, 1)
	if err := f.KeepRemoved(); err != nil {
		t.Fatal(err)
	}
	save(t, f, 2)
	if diff := cmp.Diff(text(t, 1), read(t, f.path+removedSuffix)); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
	unprivileged(t, f.path, func() {
		if err := f.KeepRemoved(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("KeepRemoved: %v, want %v", err, fs.ErrPermission)
		}
	})
}

func TestRemove(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	save(t, f, 2)
	f.KeepRemoved()
	others := []string{"other.json", "service_states.json.bak", "service_states.json.corrupt-20250707-101523.000"}
	for _, name := range append([]string{"service_states.json.tmp", "service_states.json.previous.tmp"}, others...) {
		put(t, filepath.Join(filepath.Dir(f.path), name), "x")
	}
	for range 2 { // the second time there is nothing to remove
		if err := f.Remove(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(others, beside(t, f.path)); diff != "" {
			t.Errorf("files that are left (-want +got):\n%s", diff)
		}
	}
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

// TestLostHolds wants Lost to take the lock again if the lock file was removed.
func TestLostHolds(t *testing.T) {
	f := newFile(t)
	save(t, f, 1)
	if err := os.Remove(f.path + files.LockSuffix); err != nil {
		t.Fatal(err)
	}
	if err := f.Lost(); err != nil {
		t.Errorf("Lost: %v", err)
	}
	if _, err := files.Hold(f.path); !errors.Is(err, files.ErrHeld) {
		t.Errorf("another monitor takes the state: %v, want %v", err, files.ErrHeld)
	}
}
