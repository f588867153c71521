//go:build booted

package e2e

import (
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// TestLastWords lets services write into a journal that is gone after a reboot, and then crash.
// After the reboot, their last words can be read.
func TestLastWords(t *testing.T) {
	t.Parallel() // it mostly waits
	const dies, lies, missed, late = "dies.service", "lies.service", "missed.service", "late.service"
	o := gateway.Options{Units: map[string]string{
		// PID 1 tells the CPU time of a run only if it was more than a second.
		dies: "[Unit]\nOnFailure=dump.service\n[Service]\nCPUAccounting=yes\nMemoryAccounting=yes\nExecStart=/bin/sh -c '(ulimit -t 2; while :; do :; done); for i in $$(seq 30); do echo line $$i; done; echo \"double free\" >&2; kill -SEGV $$$$'\nLimitCORE=0\n",
		// dump.service writes what systemd-coredump(8) writes, as the user of the process.
		"dump.service": "[Service]\nType=oneshot\nUser=nobody\nExecStart=/bin/sh -c 'printf \"MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1\\nCOREDUMP_UNIT=dies.service\\nCOREDUMP_PID=4711\\nMESSAGE=dumped\\n\" | logger --journald'\n",
		// What lies.service writes could clear a screen, and must not end a line of the monitor.
		lies:   "[Service]\nExecStart=/bin/sh -c 'printf \"\\\\033[2J\\\\377\\\\r evil\\\\n\"; exit 3'\n",
		missed: "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo nobody watched; exit 4'\n",
		// When journald reads the line of late.service, that run is over. So the line is of no run.
		late: "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo so it ends; exit 5'\n",
	}, Files: map[string]string{"/etc/systemd/journald.conf.d/volatile.conf": "[Journal]\nStorage=volatile\n"}}
	install(t, &o, []string{dies, lies, missed, late})
	b := newBed(t, o)
	box := func(unit string) string { return stateDir + "/chronicle/crashes/" + unit }
	await := func(unit string) {
		b.awaitLine([]string{"sh", "-c", "while :; do cat " + box(unit) + " && echo; done 2>/dev/null"}, `"unit":"`+unit+`"`)
	}
	b.sh("systemctl start service-monitor; systemctl start dies lies")
	await(dies)
	await(lies)
	b.sh("systemctl kill -s STOP systemd-journald; systemctl start late || systemctl kill -s CONT systemd-journald")
	await(late)
	if of := b.sh("journalctl -q -o json _SYSTEMD_UNIT=late.service | grep -c _SYSTEMD_INVOCATION_ID || :"); of != "0" {
		t.Errorf("%s lines of late.service are of a run", of)
	}
	b.sh("systemctl stop service-monitor; systemctl start missed || systemctl start service-monitor")
	await(missed)
	if mode := b.sh("stat -c '%a %U %G' " + box(dies)); mode != "640 service-monitor service-monitor" {
		t.Errorf("the words are %s", mode)
	}
	reboot(t, b.Machine, b.PowerOff)
	if text := b.sh("journalctl -q | grep -c 'double free' || :"); text != "0" {
		t.Fatalf("the journal of the boot before is there: %s", text)
	}
	for unit, words := range map[string][]string{
		dies:   {"Last words of the run that crashed", "6 of ", "sh[", ": double free", "code=killed, status=11/SEGV", "Used", "of CPU time", "coredumpctl info 4711"},
		lies:   {"[2J", "evil", "Failed with result 'exit-code'"},
		missed: {": nobody watched", "status=4"},
		late:   {": so it ends", "status=5"},
	} {
		text := b.sh(daemonPath + " why " + unit)
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("why %s does not say %q:\n%s", unit, word, text)
			}
		}
		if strings.ContainsAny(text, "\x1b\r") {
			t.Errorf("why %s writes control characters: %q", unit, text)
		}
	}
	full := b.sh(daemonPath + " why --full " + dies)
	if !strings.Contains(full, "line 30") || strings.Contains(full, "line 10\n") {
		t.Errorf("not the last 20 lines:\n%s", full)
	}
	b.sh(daemonPath + " report --no-lines -o /var/tmp/n.tar.gz; " + daemonPath + " report -o /var/tmp/r.tar.gz")
	if n := b.sh("tar tzf /var/tmp/n.tar.gz | grep -c crashes || :"); n != "0" {
		t.Errorf("a report without lines has %s last words", n)
	}
	if n := b.sh("tar tzf /var/tmp/r.tar.gz | grep -c crashes"); n != "4" {
		t.Errorf("a report has %s last words", n)
	}
}
