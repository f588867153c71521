//go:build booted

package e2e

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"service-monitor/test/gateway"
)

// TestKill kills the daemon at random moments while it saves all the time. The state file must always
// be complete, and no count may be lost.
func TestKill(t *testing.T) {
	const kills, longest = 20, 150 * time.Millisecond
	units := []string{"flaps-1.service", "flaps-2.service", "flaps-3.service"}
	b := bootBed(t, map[string]string{units[0]: flaps, units[1]: flaps, units[2]: flaps}, units,
		"RestartSec=0", "[Unit]", "StartLimitIntervalSec=0")
	// With a pause of a millisecond before each save, the daemon saves all the time.
	b.configure(t, map[string]any{"monitored_services": units, "save_quiet": 1, "save_deadline": 2})
	b.sh("systemctl start service-monitor; systemctl start " + strings.Join(units, " "))
	before := map[string]unitState{}
	for range kills {
		<-time.After(rand.N(longest)) // the random moment
		b.sh("systemctl kill -s KILL service-monitor")
		text, err := b.ReadFile(stateFile)
		if err != nil && len(before) == 0 {
			continue // it has not saved anything yet
		} else if err != nil {
			t.Fatal(err)
		}
		now := parseState(t, []byte(text))
		b.wantOnward(before, now)
		before = now
		b.sh("systemctl start service-monitor") // returns when it is ready again
	}
	b.sh("systemctl stop service-monitor; systemctl stop " + strings.Join(units, " "))
	b.wantTidy() // only now, because .tmp comes and goes while the daemon runs
	truth, state := b.truth(), readState(t, b.Machine)
	b.wantOnward(before, state)
	if n := truth[monitorUnit].Crashes; n != kills {
		t.Errorf("the daemon was killed %d times, want %d", n, kills)
	}
	for _, unit := range units {
		b.wantProven(unit, state[unit], truth[unit])
	}
}

// wantOnward wants no unit to be missing and no counter to be lower than before.
func (b *bed) wantOnward(before, now map[string]unitState) {
	b.t.Helper()
	for unit, was := range before {
		is, ok := now[unit]
		if !ok || is.Starts < was.Starts || is.Stops < was.Stops || is.Crashes < was.Crashes || is.Restarts < was.Restarts {
			b.t.Errorf("%s went backwards (-before +after)\n- %+v\n+ %+v", unit, was, is)
		}
	}
}

// wantProven wants nothing to be counted that did not happen. Events while no daemon ran need not be
// counted.
func (b *bed) wantProven(unit string, got unitState, truth gateway.Tally) {
	b.t.Helper()
	ends, truly := got.ends(), truth.Stops+truth.Crashes
	if got.Crashes == 0 || got.Starts > truth.Starts || got.Crashes > truth.Crashes || ends > truly {
		b.t.Errorf("%s (-journal +counted)\n- %+v\n+ %+v", unit, truth, got)
	}
	if running := got.Starts + got.FirstSeenRunning - ends; running != 0 && running != 1 {
		b.t.Errorf("%s does not balance: %+v", unit, got)
	}
}

// wantTidy wants the directory of the state file to have only the files that belong there, owned by
// the daemon's user.
func (b *bed) wantTidy() {
	b.t.Helper()
	base := stateFile[strings.LastIndex(stateFile, "/")+1:]
	known := map[string]string{ // the names of files, and their modes
		base: "640", base + ".tmp": "640", base + ".previous": "640", base + ".previous.tmp": "640", base + ".lock": "600", "chronicle": "750",
	}
	for line := range strings.Lines(b.sh("cd /var/lib/service_monitor; stat -c '%n %U %G %a' .* *")) {
		file := strings.Fields(line)
		if file[0] == "." || file[0] == ".." {
			continue
		}
		mode, ok := known[file[0]]
		if !ok {
			b.t.Errorf("%s is left in the directory", file[0])
			continue
		}
		if got, want := strings.Join(file[1:], " "), "service-monitor service-monitor "+mode; got != want {
			b.t.Errorf("%s is %s, want %s", file[0], got, want)
		}
	}
}

// TestDamage damages the state file in several ways.
func TestDamage(t *testing.T) {
	const unit = "up.service"
	tests := []struct {
		name   string
		damage string
	}{
		{"cut short", "truncate -s 100 " + stateFile},
		{"emptied", "truncate -s 0 " + stateFile},
		{"of zeros", "head -c 500 /dev/zero >" + stateFile},
		{"another JSON", "echo '[1, 2]' >" + stateFile},
	}
	b := bootBed(t, map[string]string{unit: stays}, []string{unit}, "[Unit]", "StartLimitIntervalSec=0")
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			before := b.cursor()
			b.sh("systemctl start service-monitor; systemctl start up")
			b.crash(unit)
			b.awaitLog(before, unit, "Incrementing crash counter -> "+strconv.Itoa(2*i+1))
			b.sh("systemctl stop service-monitor")
			// Make another generation with the same counters.
			b.sh("systemctl start service-monitor; systemctl reset-failed up; systemctl stop service-monitor")
			b.wantTruth(unit)
			b.sh(tt.damage)

			before = b.cursor()
			b.sh("systemctl start service-monitor")
			b.awaitLog(before, stateFile, ".corrupt-", "the generation before")
			if n := b.sh("ls " + stateFile + ".corrupt-* | wc -l"); n != strconv.Itoa(i+1) {
				t.Errorf("%s damaged files are kept aside, want %d", n, i+1)
			}
			b.sh("systemctl start up")
			b.crash(unit)
			b.awaitLog(before, unit, "Incrementing crash counter -> "+strconv.Itoa(2*i+2))
			b.sh("systemctl stop service-monitor")
			b.wantTruth(unit)
		})
	}
}
