package zone

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestRules compares rules with date(1), at both ends of hours.
func TestRules(t *testing.T) {
	for _, text := range []string{
		"UTC0", "CET-1", "<+03>-3", "<-0330>3:30", "NPT-5:45", "ABC+1:02:03", "XYZ24", "XYZ-24",
		"CET-1CEST,M3.5.0,M10.5.0/3", // summer in the north
		"EST5EDT", "EST5EDT,M3.2.0,M11.1.0",
		"AEST-10AEDT,M10.1.0,M4.1.0/3", // summer in the south
		"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
		"IST-1GMT0,M10.5.0,M3.5.0/1", // a negative rule: winter is the exception
		"<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
		"EET-2EEST,M3.4.4/50,M10.4.4/50",
		"<+0330>-3:30<+0430>,J79/24,J263/24",
		"AAA3BBB,59/0:30:15,299/1:59:59",
		"WET0WEST1:00,M3.5.0/1,M10.5.0",
	} {
		t.Run(text, func(t *testing.T) {
			location := rule(text)
			if location == nil {
				t.Fatal("refused")
			}
			compare(t, text, location, 2027, 7*time.Hour)
			compare(t, text, location, 2060, time.Hour)
		})
	}
}

func compare(t *testing.T, tz string, location *time.Location, year int, step time.Duration) {
	t.Helper()
	var asked strings.Builder
	var times []time.Time
	for at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() == year; at = at.Add(step) {
		times = append(times, at.Add(-time.Second), at)
		fmt.Fprintf(&asked, "@%d\n@%d\n", at.Unix()-1, at.Unix())
	}
	cmd := exec.Command("date", "-f", "-", "+%F %T %z")
	cmd.Env = append(os.Environ(), "TZ="+tz)
	cmd.Stdin = strings.NewReader(asked.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(strings.ReplaceAll(string(out), " ", "_"))
	if len(lines) != len(times) {
		t.Fatalf("date(1) has %d lines for %d times", len(lines), len(times))
	}
	for i, at := range times {
		if got := at.In(location).Format("2006-01-02_15:04:05_-0700"); got != lines[i] {
			t.Fatalf("%v is %s, date(1) has %s", at, got, lines[i])
		}
	}
}

func TestNoRules(t *testing.T) {
	for _, text := range []string{
		"", "C", "CE-1", "CET", "-1", "1", "CET-", "CET-x", "CET+-1", "CET-25", "CET-1:99",
		"<CET-1", "<C>-1", "<C/T>-1", "CET/X-1", "Foo/Bar3", "ČET-1", "CET-1\n",
		"CET-1CE", "CET-1CEST2x", "CET-1CEST-25", "CET-1CEST;M3.5.0;M10.5.0",
		"CET-1CEST,", "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,", "CET-1CEST,M13.5.0,M10.5.0",
		"CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J100", "CET-1CEST,1,366",
		"CET-1CEST,M3.5.0,M10.5.0/3 ", "CET-1CEST,M3.5.0,M10.5.0,M11.1.0", "CET-1,M3.5.0,M10.5.0",
	} {
		if rule(text) != nil {
			t.Errorf("%q is taken for a rule", text)
		}
	}
}
