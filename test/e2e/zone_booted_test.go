//go:build booted

package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestZone changes the time zone in several ways while the daemon runs in its sandbox. The next line of
// the log must have the time that date(1) shows. Then the test gives the daemon a zone in TZ.
func TestZone(t *testing.T) {
	const unit = "up.service"
	b := bootBed(t, map[string]string{unit: stays}, []string{unit})
	z := &zoneBed{b, unit, 0}
	b.sh("timedatectl set-timezone Etc/UTC; systemctl start service-monitor")
	z.wantTime("UTC", "")
	for _, tt := range []struct{ name, change, date string }{
		{name: "timedatectl", change: "timedatectl set-timezone Asia/Tokyo"},
		{name: "a link", change: "ln -sf ../usr/share/zoneinfo/America/New_York /etc/localtime"},
		{name: "a file in its place", change: "cp /usr/share/zoneinfo/Australia/Adelaide /etc/new; mv /etc/new /etc/localtime"},
		{name: "the file is written", change: "cat /usr/share/zoneinfo/Asia/Kolkata >/etc/localtime"},
		{name: "the file is broken", change: "echo >/etc/localtime"},
		{name: "the file is removed", change: "rm /etc/localtime"},
		{name: "a link to a file of /opt", change: "cp /usr/share/zoneinfo/Asia/Kathmandu /opt/zone; ln -s /opt/zone /etc/localtime"},
		{name: "the file behind it is replaced", change: "cp /usr/share/zoneinfo/Pacific/Chatham /opt/new; mv /opt/new /opt/zone"},
	} {
		// The monitor must not see a file that is half written: it would rightly report that.
		b.sh("systemctl kill -s STOP service-monitor; " + tt.change + "; systemctl kill -s CONT service-monitor")
		z.wantTime(tt.name, "")
	}
	z.wantFaults("cannot use the time zone of this machine: /etc/localtime is not a time zone file")
	z.wantStatus()

	for _, tt := range []struct{ tz, fault string }{
		{tz: "CET-1CEST,M3.5.0,M10.5.0/3"},
		{tz: ":America/St_Johns"},
		{tz: "<+0330>-3:30"},
		{tz: "EST5EDT"},
		{tz: "/opt/zone"},
		{tz: "Europe/Berln", fault: `cannot use TZ="Europe/Berln": `},
	} {
		before := b.cursor()
		b.sh("systemctl stop service-monitor; rm -f " + logPath)
		if err := b.WriteFile(dropIns+"zone.conf", "[Service]\nEnvironment=TZ="+tt.tz+"\n", 0o644); err != nil {
			t.Fatal(err)
		}
		b.sh("systemctl daemon-reload; systemctl start service-monitor")
		z.wantTime("TZ="+tt.tz, tt.tz)
		if tt.fault != "" {
			b.awaitLog(before, tt.fault, "times are in UTC")
			z.wantFaults(tt.fault)
		} else {
			z.wantFaults()
		}
	}
	b.sh("rm " + dropIns + "zone.conf; systemctl set-environment TZ=AEST-10AEDT,M10.1.0,M4.1.0/3; systemctl daemon-reload; systemctl restart service-monitor")
	z.wantTime("TZ of systemd", "AEST-10AEDT,M10.1.0,M4.1.0/3")
	b.sh("systemctl stop service-monitor")
	z.wantSaved("AEST-10AEDT,M10.1.0,M4.1.0/3")
	b.wantTruth(unit)
}

// A zoneBed is a bed with a unit that crashes.
type zoneBed struct {
	*bed
	unit    string
	crashes int
}

// crash lets the unit crash, and returns the line about that in the log file.
func (z *zoneBed) crash() (line string) {
	z.t.Helper()
	z.sh("systemctl start " + z.unit)
	z.bed.crash(z.unit)
	z.crashes++
	return z.awaitLine([]string{"tail", "-F", "-n", "+1", logPath}, z.unit, "Incrementing crash counter -> "+strconv.Itoa(z.crashes))
}

// wantTime wants the line about a crash to have the time of date(1), with TZ or without.
func (z *zoneBed) wantTime(name, tz string) {
	z.t.Helper()
	date := "date '+%F %T'"
	if tz != "" {
		date = "TZ='" + tz + "' " + date
	}
	earliest := z.sh(date)
	line := z.crash()
	latest := z.sh(date)
	if at, _, _ := strings.Cut(line, " - "); at < earliest || at > latest {
		z.t.Errorf("%s: %q is not between %s and %s", name, line, earliest, latest)
	}
}

// wantSaved wants the state file to have the time of the last change by date(1).
func (z *zoneBed) wantSaved(tz string) {
	z.t.Helper()
	date := "TZ='" + tz + "' date '+%F %T' -d "
	earliest, latest := z.sh(date+"'-10 min'"), z.sh(date+"now")
	if at := readState(z.t, z.Machine)[z.unit].LastChangeTime; at < earliest || at > latest {
		z.t.Errorf("last_change_time is %s, not between %s and %s", at, earliest, latest)
	}
}

// wantFaults wants the log to report each of these faults of the zone once.
func (z *zoneBed) wantFaults(want ...string) {
	z.t.Helper()
	var got []string
	for line := range strings.Lines(z.readLog()) {
		if strings.Contains(line, "times are in UTC") {
			got = append(got, line)
		}
	}
	if len(got) != len(want) {
		z.t.Fatalf("%d lines tell of faults of the zone, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !strings.Contains(got[i], " - [WARNING] "+want[i]) {
			z.t.Errorf("%q does not have %q", got[i], want[i])
		}
	}
}

// wantStatus wants the status to have the time of the zone as it is now.
func (z *zoneBed) wantStatus() {
	z.t.Helper()
	z.sh("ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime; mv " + logPath + " " + logPath + ".aside; mkfifo -m 666 " + logPath)
	since := func() (clock time.Time) {
		z.sh("systemctl start " + z.unit)
		z.bed.crash(z.unit)
		z.crashes++
		z.awaitProperty("StatusText", "since when the log file takes nothing", func(value string) bool {
			found := regexp.MustCompile(`cannot write the log file since (\S+)`).FindStringSubmatch(value)
			if found != nil {
				clock, _ = time.Parse(time.TimeOnly, found[1])
			}
			return found != nil
		})
		return clock
	}
	before := since()
	z.sh("ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime")
	want := before.Add(9 * time.Hour).Format(time.TimeOnly)
	z.awaitShow("StatusText", "cannot write the log file since "+want)
	z.sh("rm " + logPath + "; mv " + logPath + ".aside " + logPath)
}
