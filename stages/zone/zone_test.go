package zone

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// moment is in the summer of the north.
var moment = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// zoneFiles makes a directory such as /usr/share/zoneinfo.
func zoneFiles(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// link makes path a link to a file, atomically, as timedatectl(1) and ln -sf do.
func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func environment(values map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		value, set := values[key]
		return value, set
	}
}

// faults returns a zone's faults so far.
func faults(z *Zone) *[]string {
	reported := new([]string)
	z.report(func(fault error) { *reported = append(*reported, fault.Error()) })
	return reported
}

func TestEnvironment(t *testing.T) {
	dir := zoneFiles(t, map[string]string{
		"Europe/Berlin": string(file("CET-1CEST,M3.5.0,M10.5.0/3")),
		"EST5EDT":       string(file("EST5EDT,M3.2.0,M11.1.0")),
		"XXX-1":         string(file("YYY-2")), // a file wins over a rule
		"CET-1CEST":     "no zone",
		"README":        "no zone",
		"empty":         "",
		"long":          strings.Repeat("x", maxFile+1),
	})
	const refused = "is no rule such as CET-1CEST,M3.5.0,M10.5.0/3"
	for _, tt := range []struct {
		tz, want string
		fault    []string
	}{
		{tz: "", want: "12:00 UTC"},
		{tz: ":", want: "12:00 UTC"},
		{tz: "UTC", want: "12:00 UTC"},
		{tz: "Etc/UTC", want: "12:00 UTC"}, // there is no such file
		{tz: "UTC0", want: "12:00 UTC"},
		{tz: "Europe/Berlin", want: "14:00 CEST"},
		{tz: ":Europe/Berlin", want: "14:00 CEST"},
		{tz: dir + "/Europe/Berlin", want: "14:00 CEST"},
		{tz: ":" + dir + "/Europe/Berlin", want: "14:00 CEST"},
		{tz: "EST5EDT", want: "08:00 EDT"},
		{tz: "EST5EDT,M3.2.0,M11.1.0", want: "08:00 EDT"},
		{tz: "CET-1CEST,M3.5.0,M10.5.0/3", want: "14:00 CEST"},
		{tz: ":CET-1CEST,M3.5.0,M10.5.0/3", want: "14:00 CEST"},
		{tz: "<+03>-3", want: "15:00 +03"},
		{tz: "XXX-1", want: "14:00 YYY"},
		{tz: "CET-1CEST", want: "14:00 CEST"}, // a file that is no zone file is ignored
		{tz: "Europe/Berln", want: "12:00 UTC", fault: []string{`TZ="Europe/Berln"`, dir + "/Europe/Berln", "no such file", refused, "times are in UTC"}},
		{tz: "/no/such", want: "12:00 UTC", fault: []string{`TZ="/no/such"`, "stat /no/such", refused}},
		{tz: "Europe", want: "12:00 UTC", fault: []string{`TZ="Europe"`, dir + "/Europe is not a regular file"}},
		{tz: "README", want: "12:00 UTC", fault: []string{`TZ="README"`, dir + "/README is not a time zone file"}},
		{tz: "empty", want: "12:00 UTC", fault: []string{"/empty is not a time zone file"}},
		{tz: "long", want: "12:00 UTC", fault: []string{"/long is too long"}},
		{tz: "CET+1CEST,nonsense", want: "12:00 UTC", fault: []string{`TZ="CET+1CEST,nonsense"`, refused}},
		{tz: "C\x1b[2J", want: "12:00 UTC", fault: []string{`TZ="C\x1b[2J"`}},
	} {
		t.Run(tt.tz, func(t *testing.T) {
			z := newZone(environment(map[string]string{"TZ": tt.tz, "TZDIR": dir}))
			reported := *faults(z)
			if got := moment.In(z.Location()).Format("15:04 MST"); got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
			if len(reported) != min(len(tt.fault), 1) {
				t.Fatalf("faults %q, want %d", reported, min(len(tt.fault), 1))
			}
			for _, text := range tt.fault {
				if !strings.Contains(reported[0], text) {
					t.Errorf("%q does not have %q", reported[0], text)
				}
			}
		})
	}
}

func TestWhere(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{name: "no TZ", env: nil, want: "/etc/localtime"},
		{name: "a name", env: map[string]string{"TZ": "Asia/Tokyo"}, want: "/usr/share/zoneinfo/Asia/Tokyo"},
		{name: "an empty TZDIR", env: map[string]string{"TZ": "Asia/Tokyo", "TZDIR": ""}, want: "/usr/share/zoneinfo/Asia/Tokyo"},
		{name: "a TZDIR", env: map[string]string{"TZ": ":Asia/Tokyo", "TZDIR": "/zones"}, want: "/zones/Asia/Tokyo"},
		{name: "a path", env: map[string]string{"TZ": ":/etc/localtime", "TZDIR": "/zones"}, want: "/etc/localtime"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if z := newZone(environment(tt.env)); z.path != tt.want {
				t.Errorf("the file is %s, want %s", z.path, tt.want)
			}
		})
	}
}

// TestChange changes a file such as /etc/localtime in each way, one after the other, and
// asks for the time after each.
func TestChange(t *testing.T) {
	dir := zoneFiles(t, map[string]string{"UTC": string(file("UTC0")), "Tokyo": string(file("JST-9")), "Berlin": string(file("CET-1CEST,M3.5.0,M10.5.0/3"))})
	path, tokyo := filepath.Join(dir, "localtime"), filepath.Join(dir, "Tokyo")
	const broken = "cannot use the time zone of this machine: "
	synctest.Test(t, func(t *testing.T) {
		z := &Zone{path: path}
		reported := faults(z)
		for _, step := range []struct {
			name   string
			change func()
			want   string
			faults []string // the faults that are reported
		}{
			{name: "there is none", change: func() {}, want: "12:00"},
			{name: "a link", change: func() { link(t, "Berlin", path) }, want: "14:00"},
			{name: "the link leads elsewhere", change: func() { link(t, tokyo, path) }, want: "21:00"},
			{name: "the file behind it is written", change: func() { write(t, tokyo, string(file("JST-10"))) }, want: "22:00"},
			{name: "the file behind it is replaced", change: func() {
				write(t, tokyo+".new", string(file("JST-8")))
				os.Rename(tokyo+".new", tokyo)
			}, want: "20:00"},
			{name: "it is half written", change: func() { write(t, tokyo, "TZif2") }, want: "12:00", faults: []string{broken + path + " is not a time zone file"}},
			{name: "and again", change: func() { write(t, tokyo, "TZif2\x00") }, want: "12:00"},
			{name: "it is whole", change: func() { write(t, tokyo, string(file("JST-9"))) }, want: "21:00"},
			{name: "it is broken anew", change: func() { write(t, tokyo, "") }, want: "12:00", faults: []string{path + " is not a time zone file"}},
			{name: "the link is removed", change: func() { os.Remove(path) }, want: "12:00"},
			{name: "a file", change: func() { write(t, path, string(file("ABC3"))) }, want: "09:00"},
			{name: "a link to nothing", change: func() { link(t, "Berln", path) }, want: "12:00", faults: []string{"is a link to Berln"}},
			{name: "a link that leads to UTC", change: func() { link(t, "UTC", path) }, want: "12:00"},
			{name: "UTC that is not there", change: func() { link(t, "/no/such/Etc/UTC", path) }, want: "12:00"},
			{name: "a directory", change: func() { link(t, ".", path) }, want: "12:00", faults: []string{"is not a regular file"}},
		} {
			known := len(*reported)
			step.change()
			time.Sleep(valid)
			if got := moment.In(z.Location()).Format("15:04"); got != step.want {
				t.Errorf("%s: it is %s, want %s", step.name, got, step.want)
			}
			news := (*reported)[known:]
			if !slices.EqualFunc(news, step.faults, strings.Contains) {
				t.Errorf("%s: faults %q, want %q", step.name, news, step.faults)
			}
		}
	})
}

// TestFaultBeforeReport asks for the zone before Report is called. Report reports the fault
// all the same.
func TestFaultBeforeReport(t *testing.T) {
	z := newZone(environment(map[string]string{"TZ": "/no/such"}))
	z.Location()
	if reported := faults(z); len(*reported) != 1 {
		t.Errorf("faults %q, want one", *reported)
	}
}

// TestOftenAsked asks for the zone often. The file is looked at once in a millisecond. If
// the clock was set back, an answer from before does not last longer.
func TestOftenAsked(t *testing.T) {
	path := filepath.Join(zoneFiles(t, map[string]string{"localtime": string(file("ABC3"))}), "localtime")
	synctest.Test(t, func(t *testing.T) {
		z := &Zone{path: path}
		first := z.Location()
		write(t, path, string(file("ABC-4")))
		if z.Location() != first {
			t.Error("the file was looked at twice at once")
		}
		z.looked = time.Now().Add(time.Hour)
		if z.Location() == first {
			t.Error("the change is not seen")
		}
	})
}

// TestReporterAsks lets the function that receives a fault ask for the zone, as writing a
// log line does, while other goroutines ask, too.
func TestReporterAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(environment(map[string]string{"TZ": "/no/such"}))
		var reported []*time.Location
		for range 4 {
			go z.Location()
		}
		z.report(func(error) { reported = append(reported, z.Location()) })
		synctest.Wait()
		if len(reported) != 1 || reported[0] != time.UTC {
			t.Errorf("zones %v, want UTC", reported)
		}
	})
}

func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		time.Sleep(time.Hour)
		if got, want := Since(begun), "since "+Local(begun).Format("15:04:05"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
