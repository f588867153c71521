//go:build booted

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// crowdScript starts instances of a template, many at a time, and returns when they are over.
const crowdScript = "#!/bin/sh\nseq $2 $3 | sed \"s/.*/$1@&.service/\" | xargs -n 40 systemctl start --quiet 2>/dev/null || true\n"

// passing are templates whose instances come and go. Every tenth instance crashes. Instances of
// kept@ stay loaded after a failure.
var passing = map[string]string{
	"pass@.service": "[Unit]\nCollectMode=inactive-or-failed\n" + passes,
	"kept@.service": "[Unit]\nStartLimitIntervalSec=0\n" + passes,
	"long@.service": "[Unit]\nCollectMode=inactive-or-failed\n" + staysOn,
	"old.service":   stays,
}

const (
	passes  = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'case %i in *3) exit 3;; esac'\n"
	staysOn = "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
)

// A crowdStep changes what is monitored, if it has services. Then it runs lines of sh(1), in which
// pass starts instances.
type crowdStep struct {
	services []string
	sh       string
}

const (
	begin = "systemctl start service-monitor; "
	halt  = "systemctl stop service-monitor; "
)

// crowdCases are lives of instances that are folded into the sums of a glob. Each ends with a stop of
// the monitor.
var crowdCases = []struct {
	name  string
	steps []crowdStep
	left  []string // instances that are not folded
}{
	{name: "globs that overlap", steps: []crowdStep{
		{[]string{"pass@1*.service", "pass@*.service", "p*.service"}, begin + "pass pass 1 200; systemctl restart service-monitor; pass pass 150 220;" + halt + "pass pass 90 230; " + begin},
	}},
	// The cursor of old.service is older than the sums, so what is in the sums is read again.
	{name: "a narrower glob comes before", steps: []crowdStep{
		{[]string{"old.service", "pass@*.service"}, "systemctl start old; " + begin + "pass pass 1 200; " + halt},
		{[]string{"old.service", "pass@1*.service", "pass@*.service"}, "pass pass 90 120; " + begin + "pass pass 110 130; " + halt + begin},
	}},
	{name: "one is named as well", left: []string{"pass@13.service"}, steps: []crowdStep{
		{[]string{"old.service", "pass@*.service"}, "systemctl start old; " + begin + "pass pass 1 200; " + halt},
		{[]string{"old.service", "pass@13.service", "pass@*.service"}, "pass pass 11 15; " + begin + "pass pass 12 14; " + halt + begin},
	}},
	{name: "a reload adds a glob while others pass", steps: []crowdStep{
		{[]string{"pass@1*.service"}, begin + "pass pass 100 160"},
		{[]string{"pass@1*.service", "pass@2*.service", "later.service"}, "(pass pass 100 199) & systemctl reload service-monitor; " +
			"until grep -q later.service:..not.loaded " + logPath + "; do sleep 0.02; done; pass pass 200 260; wait; " +
			"systemctl kill -s KILL service-monitor; " + halt + "pass pass 250 290; " + begin},
	}},
	{name: "they fail and stay loaded", steps: []crowdStep{
		{[]string{"kept@*.service"}, begin + "pass kept 1 300; pass kept 3 3; pass kept 1 40; " + halt + "pass kept 13 13; systemctl reset-failed 'kept@1*'; pass kept 300 310; " + begin +
			"systemctl reset-failed; pass kept 1 200; systemctl reset-failed; systemctl restart service-monitor"},
	}},
	{name: "one has a unit file of its own", left: []string{"pass@7.service"}, steps: []crowdStep{
		{[]string{"pass@*.service"}, "ln -s pass@.service /etc/systemd/system/pass@7.service; systemctl daemon-reload; " + begin + "pass pass 1 200; systemctl restart service-monitor"},
	}},
	{name: "the monitor is killed amid them", steps: []crowdStep{
		{[]string{"old.service", "pass@*.service"}, "systemctl start old; " + begin + "(pass pass 1 600) & " +
			"for i in 1 2 3 4 5; do sleep 0.7; systemctl kill -s KILL service-monitor; systemctl stop service-monitor; systemctl reset-failed service-monitor || true; " + begin + "done; wait; systemctl restart service-monitor"},
	}},
	{name: "the journal cannot be read for a while", steps: []crowdStep{
		{[]string{"pass@*.service", "long@*.service"}, begin + "pass long 1 9; pass pass 1 20; " + halt + "systemctl stop 'long@*'; pass pass 10 30; pass long 5 5; touch /run/refuse; " + begin +
			"pass pass 20 200; systemctl stop long@5; pass long 6 6; rm /run/refuse; " +
			"until systemctl show -P StatusText service-monitor | grep -v 'gap open' | grep -q watching; do sleep 0.1; done; " +
			"pass pass 190 220; systemctl stop long@6; systemctl restart service-monitor; systemctl restart service-monitor"},
	}},
}

// TestCrowds compares the counts of instances that come and go with the journal.
func TestCrowds(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, tt := range crowdCases {
		t.Run(tt.name, func(t *testing.T) {
			b := bootBed(t, passing, nil)
			b.put(dropIns+"path.conf", "[Service]\nEnvironment=PATH=/opt/refusing:/usr/bin:/bin\n")
			for path, text := range map[string]string{"/opt/refusing/journalctl": refusing, "/opt/pass/pass": crowdScript} {
				if err := b.WriteFile(path, text, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			b.sh("systemctl daemon-reload")
			for _, step := range tt.steps {
				b.configure(t, map[string]any{"monitored_services": step.services, "fold_after": 0})
				b.sh("PATH=$PATH:/opt/pass; " + step.sh)
			}
			b.sh("systemctl stop service-monitor")
			b.wantSums(tt.left)
			if t.Failed() {
				t.Log(b.readLog())
			}
		})
	}
}

// wantSums wants all instances except these to be folded, and the sums to be those of the journal.
func (b *bed) wantSums(left []string) {
	b.t.Helper()
	var want, got gateway.Tally
	instance := func(unit string) bool { return strings.Contains(unit, "@") }
	for unit, life := range b.truth() {
		if instance(unit) {
			want.Starts, want.Stops, want.Crashes = want.Starts+life.Starts, want.Stops+life.Stops, want.Crashes+life.Crashes
		}
	}
	var units []string
	for unit, s := range readState(b.t, b.Machine) {
		if !instance(unit) {
			continue
		}
		got.Starts, got.Stops, got.Crashes = got.Starts+s.Starts, got.Stops+s.Stops, got.Crashes+s.Crashes
		if s.AtLeast || s.Unknown > 0 || s.FirstSeenRunning > 0 {
			b.t.Errorf("%s: %+v", unit, s)
		}
		if !strings.Contains(unit, "*") {
			units = append(units, unit)
		}
	}
	if got != want {
		b.t.Errorf("(-journal +counted)\n- %+v\n+ %+v", want, got)
	}
	slices.Sort(units)
	if !slices.Equal(units, left) {
		b.t.Errorf("%q are not folded, want %q", units, left)
	}
}

// before is a record of an instance, as written by monitors that did not fold instances yet. %[1]d is
// the number of the instance, and %[2]s the place up to which the journal is known.
const before = `"pass@%[1]d.service": {
    "last_state": "inactive", "last_change_time": "2026-11-24 18:49:34", "starts": 3, "stops": 2, "crashes": 1,
    "logged_unloaded": false, "restarts": 0, "running_when_first_seen": 0, "crash_causes": {"exit-code": 1},
    "last_crash": {"time": "2026-11-24T18:49:33.1Z", "result": "exit-code", "code": 1, "status": 3, "invocation": "%032[1]x", "monotonic_usec": 7},
    "life": {
      "active_state": "inactive", "sub_state": "dead", "invocation": "%032[1]x", "entered": 5, "state_entered": 9, "begun": 5,
      "ran": true, "ended": true, "cursor": "%[2]s"
    }
  }`

// TestCrowdOfEarlierVersion starts with a state file of an earlier version, which has a
// record of every past instance. The first start must fold these records. It must also
// count what the instances did while no monitor ran.
func TestCrowdOfEarlierVersion(t *testing.T) {
	const many = 6000 // about as many as an earlier version could have with MemoryMax=64M
	b := bootBed(t, passing, []string{"pass@*.service"})
	if err := b.WriteFile("/opt/pass/pass", crowdScript, 0o755); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	cursor := b.sh("sed -n 's/.*\"cursor\": \"\\(.*\\)\".*/\\1/p' " + stateFile)
	var records []string
	for i := range many {
		records = append(records, fmt.Sprintf(before, i+1, cursor))
	}
	b.sh("rm " + stateFile + "*")
	if err := b.WriteFile(stateFile, "{"+strings.Join(records, ",")+"}", 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("/opt/pass/pass pass 20 60; systemctl start service-monitor")
	b.awaitProperty("StatusText", "one service", func(text string) bool { return strings.HasPrefix(text, "watching 0 services") })
	b.sh("systemctl stop service-monitor")
	state := readState(t, b.Machine)
	got := state["pass@*.service"]
	want := gateway.Tally{Starts: 3*many + 41, Stops: 2*many + 37, Crashes: many + 4}
	if counted := (gateway.Tally{Starts: got.Starts, Stops: got.Stops, Crashes: got.Crashes}); counted != want || got.AtLeast || got.Folded != many || len(state) != 1 {
		t.Errorf("%d records, counted %+v, want %+v", len(state), got, want)
	}
}
