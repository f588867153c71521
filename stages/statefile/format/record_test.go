package format

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/count"
	"service-monitor/stages/statefile/format/formattest"
)

// inZone makes zone the local time zone during a test.
func inZone(t *testing.T, zone *time.Location) {
	t.Helper()
	was := location
	location = func() *time.Location { return zone }
	t.Cleanup(func() { location = was })
}

// checksumOf returns the checksum that the monitor writes into a record.
func checksumOf(t *testing.T, unit string, r record) string {
	t.Helper()
	text, err := newSealer().seal(unit, &r)
	if err != nil {
		t.Fatal(err)
	}
	return string(checksumIn(text))
}

// written returns the text that the monitor writes for these units.
func written(t *testing.T, units ...*count.Tally) string {
	t.Helper()
	all := make(map[string]*count.Tally)
	for _, tally := range units {
		all[tally.Unit] = tally
	}
	var text bytes.Buffer
	if err := Encode(&text, all); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestFormat(t *testing.T) {
	inZone(t, time.UTC)
	changed := time.Date(2025, 7, 7, 10, 15, 23, 999, time.Local)
	got := written(t,
		&count.Tally{Unit: "wirepas-gateway.service", State: "active", Changed: changed, Starts: 5, Stops: 4},
		&count.Tally{Unit: "setup.service", State: "unloaded", LoggedUnloaded: true})
	want := `{
  "setup.service": {
    "last_state": "unloaded",
    "last_change_time": "",
    "starts": 0,
    "stops": 0,
    "crashes": 0,
    "logged_unloaded": true,
    "schema": 1,
    "checksum": "8a1edd31",
    "unknown": 0,
    "restarts": 0,
    "running_when_first_seen": 0
  },
  "wirepas-gateway.service": {
    "last_state": "active",
    "last_change_time": "2025-07-07 10:15:23",
    "starts": 5,
    "stops": 4,
    "crashes": 0,
    "logged_unloaded": false,
    "last_change_offset": "+00:00",
    "schema": 1,
    "checksum": "802bfcb4",
    "unknown": 0,
    "restarts": 0,
    "running_when_first_seen": 0
  }
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state file (-want +got):\n%s", diff)
	}
}

// TestEncode wants the same text as encoding/json writes for a map of all units.
func TestEncode(t *testing.T) {
	odd := formattest.Full()
	odd.Unit, odd.State = "\"<é&\x01\u2028\xff>.service", "x\ny"
	for n := range 4 {
		units := map[string]*count.Tally{}
		for _, tally := range []*count.Tally{formattest.Full(), odd, {Unit: "never.service", State: "unloaded", LoggedUnloaded: true}}[:min(n, 3)] {
			units[tally.Unit] = tally
		}
		records := make(map[string]record)
		for unit, tally := range units {
			r := newRecord(tally)
			if _, err := newSealer().seal(unit, &r); err != nil {
				t.Fatal(err)
			}
			text := checksumOf(t, unit, r)
			r.Checksum = text
			records[unit] = r
		}
		want, err := json.MarshalIndent(records, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := Encode(&got, units); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want)+"\n", got.String()); diff != "" {
			t.Errorf("%d units (-want +got):\n%s", n, diff)
		}
	}
}

// TestSameBytes wants equal states to give equal bytes, also after they were read.
func TestSameBytes(t *testing.T) {
	file := written(t, formattest.Full(), formattest.Running("a.service", 12), &count.Tally{Unit: "never.service", State: "unloaded", LoggedUnloaded: true})
	var units []*count.Tally
	for _, tally := range Parse([]byte(file)).Units {
		units = append(units, tally)
	}
	if diff := cmp.Diff(file, written(t, units...)); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}
}

// TestZone reads times in another time zone than they were written in.
func TestZone(t *testing.T) {
	changed := time.Date(2025, 10, 26, 2, 30, 0, 0, time.FixedZone("CEST", 2*3600)) // in that night 2:30 came twice
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	inZone(t, zone)
	file := written(t, &count.Tally{Unit: "a.service", State: "active", Changed: changed, Starts: 1})
	for _, part := range []string{`"last_change_time": "2025-10-26 02:30:00"`, `"last_change_offset": "+02:00"`} {
		if !strings.Contains(file, part) {
			t.Errorf("there is no %s:\n%s", part, file)
		}
	}
	for _, name := range []string{"America/St_Johns", "Asia/Kolkata", "UTC", "Europe/Berlin"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		inZone(t, zone)
		c := Parse([]byte(file))
		if got := c.Units["a.service"].Changed; !got.Equal(changed) || c.Findings != nil {
			t.Errorf("%s: %v, want %v (%q)", name, got, changed, linesOf(c.Findings, true))
		}
	}
	python := Parse([]byte(strings.NewReplacer(`"last_change_offset": "+02:00",`, "", `"checksum"`, `"x"`).Replace(file)))
	if got := python.Units["a.service"].Changed; got.Format(timeFormat) != "2025-10-26 02:30:00" {
		t.Errorf("without an offset: %v, want local time", got)
	}
}

// TestPythonReads wants what the Python monitor needs to read the file: a JSON object by
// unit, in which each record has the six keys of that monitor.
func TestPythonReads(t *testing.T) {
	var units map[string]struct {
		State    *string `json:"last_state"`
		Time     *string `json:"last_change_time"`
		Starts   *int    `json:"starts"`
		Stops    *int    `json:"stops"`
		Crashes  *int    `json:"crashes"`
		Unloaded *bool   `json:"logged_unloaded"`
	}
	if err := json.Unmarshal([]byte(written(t, formattest.Running("a.service", 12), formattest.Running("b.service", 7))), &units); err != nil || len(units) != 2 {
		t.Fatalf("%v: %v", units, err)
	}
	for name, u := range units {
		if u.State == nil || u.Time == nil || u.Starts == nil || u.Stops == nil || u.Crashes == nil || u.Unloaded == nil {
			t.Errorf("%s has not all six keys: %+v", name, u)
		}
	}
}
