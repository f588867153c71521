package statefile

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/count"
)

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

// TestLoadBadBlocks reads /proc/self/mem, whose first page is never mapped. That gives the
// same input/output error as a bad block, which is damage.
func TestLoadBadBlocks(t *testing.T) {
	if _, _, err := Read("/proc/self/mem"); !errors.Is(err, ErrDamaged) {
		t.Errorf("Read: %v, want it to be damage", err)
	}
}
