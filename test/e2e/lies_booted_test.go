//go:build booted

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

const (
	liesMemory  = 16384 // kB
	liesRefused = "refused signals"
)

// loosePolicy lets everybody call and answer everybody. A package could bring such a careless file. By
// its own policy the bus lets neither calls nor answers through.
const loosePolicy = `<busconfig><policy context="default">
<allow send_type="method_call"/>
<allow send_requested_reply="false" send_type="method_return"/>
<allow send_requested_reply="false" send_type="error"/>
<allow receive_requested_reply="false" receive_type="method_return"/>
<allow receive_requested_reply="false" receive_type="error"/>
</policy></busconfig>
`

// TestLies lets unprivileged users forge what systemd says, while real units
// start, stop and crash.
func TestLies(t *testing.T) {
	const up, storm, crashes = "up.service", "storm.service", 8
	o := gateway.Options{Units: map[string]string{
		up: stays,
		// After each start it crashes so many times, and then it ends well.
		storm: fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=on-failure\nRestartSec=0\n"+
			"ExecStart=/bin/sh -c 'echo >>/run/storm; [ $(wc -l </run/storm) -le %d ] && exit 9; rm /run/storm'\n", crashes),
	}}
	install(t, &o, []string{up, storm}, "WatchdogSec=2s")
	o.Binds["/opt/forger"] = buildForger(t)
	// The bus logs each message that its policy refuses. Without a limit the journal would keep them all.
	o.Files["/etc/systemd/system/dbus.service.d/test.conf"] = "[Service]\nLogRateLimitIntervalSec=1min\nLogRateLimitBurst=10\n"
	b := newBed(t, o)
	tests := []struct {
		name   string
		forge  []string // what the forgers do at the same time
		policy string   // a policy of the bus besides its own
		// refused is true if lies reach the daemon, and it must refuse them. lost is true if the
		// bus may drop signals of systemd because of them.
		refused, lost bool
	}{
		{name: "broadcast and sent to the daemon", forge: []string{"broadcast", "unicast"}, refused: true},
		{name: "wrong types and malformed", forge: []string{"types", "malformed"}, refused: true},
		{name: "32 MB each", forge: []string{"huge"}, refused: true, lost: true},
		{name: "more at once than the bus keeps", forge: []string{"-together=5 dam"}, refused: true, lost: true},
		{name: "calls and replies", forge: []string{"calls", "replies"}, policy: loosePolicy, refused: true},
		{name: "the policy that comes with the daemon", forge: []string{"-together=5 dam"}, policy: o.Files[policyPath]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			b.setPolicy(tt.policy)
			before, then := b.cursor(), b.truth()
			var forgers []*forger
			for _, how := range tt.forge {
				forgers = append(forgers, b.forge(how, up, storm))
			}
			b.sh("systemctl start service-monitor")
			for _, f := range forgers {
				f.awaitLying()
			}

			b.sh("systemctl start --no-block storm; systemctl start up")
			b.awaitLog(before, up, fmt.Sprintf("Incrementing start counter -> %d", then[up].Starts+1))
			b.crash(up)
			b.awaitLog(before, up, fmt.Sprintf("Incrementing crash counter -> %d", then[up].Crashes+1))
			b.awaitLog(before, storm, fmt.Sprintf("Incrementing stop counter -> %d", then[storm].Stops+1))
			if tt.refused {
				b.awaitLog(before, liesRefused)
			}
			memory := b.status("", "VmHWM")[0]
			b.wantShow("NRestarts", "0")
			b.sh("systemctl stop service-monitor")
			b.wantShow("Result", "success")
			b.wantTruth(up, storm)
			b.wantLogged(up, storm)

			for _, f := range forgers {
				f.stop()
			}
			t.Logf("at most %d kB resident", memory)
			if memory > liesMemory {
				t.Errorf("%d kB resident, want at most %d", memory, liesMemory)
			}
			b.wantRefusals(before, tt.refused, tt.lost)
		})
	}
	b.setPolicy("")
	before := b.cursor()
	b.sh("systemctl start service-monitor; systemctl start up")
	b.crash(up)
	b.awaitLog(before, up, "Incrementing crash counter")
	b.sh("systemctl stop service-monitor")
	b.wantTruth(up, storm)
	b.wantLogged(up, storm)
}

// setPolicy gives the bus this policy besides its own; empty for none.
func (b *bed) setPolicy(policy string) {
	b.t.Helper()
	if policy == "" {
		policy = "<busconfig/>"
	}
	if err := b.WriteFile(policyPath, policy, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.sh("systemctl reload dbus")
}

// wantRefusals reads the log since a cursor. If refused is true, there must be one report that lies were
// refused, with their number. Otherwise there must be none. Unless lost is true, the daemon must have
// kept its connection to the bus.
func (b *bed) wantRefusals(since string, refused, lost bool) {
	b.t.Helper()
	log := b.sh("journalctl --sync; journalctl -q -o cat -u " + monitorUnit + " --after-cursor='" + since + "'")
	var reports []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, liesRefused) {
			reports = append(reports, line)
		}
	}
	b.t.Logf("the log says %q, and %d times that the bus was lost", reports, strings.Count(log, "lost the system bus"))
	if !refused && len(reports) > 0 {
		b.t.Error("want nothing refused")
	}
	if refused {
		if len(reports) != 1 {
			b.t.Fatalf("%d reports in less than a minute, want 1", len(reports))
		}
		_, number, _ := strings.Cut(strings.TrimSpace(reports[0]), "signals: ")
		if n, err := strconv.Atoi(strings.TrimSuffix(number, ")")); err != nil || n == 0 {
			b.t.Errorf("%q does not say how many", reports[0])
		}
	}
	if !lost && strings.Contains(log, "lost the system bus") {
		b.t.Error("the bus was left, want it kept")
	}
}

// buildForger builds test/forger where any user can run it.
func buildForger(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(binary), "forger")
	if err := build(path, "test/forger", ""); err != nil {
		t.Fatal(err)
	}
	return path
}

// forger is a program of test/forger that runs in the machine.
type forger struct {
	t    *testing.T
	how  string
	cmd  *exec.Cmd
	stop func()
	out  *bufio.Scanner
}

// forge starts a forger as a user without privileges.
func (b *bed) forge(how string, units ...string) *forger {
	b.t.Helper()
	argv := append(strings.Fields(asNobody+"/opt/forger "+how), units...)
	f := &forger{t: b.t, how: how, cmd: b.Command(b.t.Context(), argv...)}
	in, err := f.cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	f.out, f.cmd.Stderr = bufio.NewScanner(out), os.Stderr
	if err := f.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	f.stop = func() { in.Close(); f.report() }
	b.t.Cleanup(func() { in.Close() })
	return f
}

// awaitLying waits until the first lie is on its way.
func (f *forger) awaitLying() {
	f.t.Helper()
	if !f.out.Scan() || f.out.Text() != "lying" {
		f.t.Fatalf("the forger (%s) does not lie: %q", f.how, f.out.Text())
	}
}

// report waits for a forger to end, and wants it to have sent lies.
func (f *forger) report() {
	f.t.Helper()
	f.out.Scan()
	said := f.out.Text()
	if err := f.cmd.Wait(); err != nil {
		f.t.Errorf("the forger (%s) ended with %v", f.how, err)
	}
	var messages, bytes int
	if _, err := fmt.Sscanf(said, "messages=%d bytes=%d", &messages, &bytes); err != nil || messages == 0 || bytes == 0 {
		f.t.Errorf("the forger (%s) has sent nothing: %q", f.how, said)
	}
	f.t.Logf("%s: %s", f.how, said)
}
