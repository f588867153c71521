//go:build booted

package e2e

import (
	"maps"
	"os"
	"strings"
	"testing"
)

const (
	tmpfiles = "../../systemd/tmpfiles.conf"
	asUnit   = "setpriv --reuid=service-monitor --regid=service-monitor --init-groups "
)

// checks are things that people may have in the place of log and state. The exit code of --check,
// when root calls it, must be that of a start.
var checks = []struct {
	name       string
	prepare    string // lines of sh(1) in /srv; $log and $state are the default directories
	log, state string // the files in the configuration; empty for the defaults
	code       int
	says       string
}{
	{"nothing is there", "", "", "", 0, "checked with the rights of user service-monitor"},
	{"relative", "", "systemd_monitor.log", "states.json", 0, "/var/log/service-monitor/systemd_monitor.log: log_file is relative, and starts at /var/log/service-monitor"},
	{"relative, in a directory that is not there", "", "logs/m.log", "", 73, `log_file: user service-monitor cannot use /var/log/service-monitor/logs/m.log as log file: there is no directory /var/log/service-monitor/logs; make it`},
	{"relative, in a directory of root", "mkdir -m 700 -p $state/deep/er", "", "deep/er/s.json", 0, ""},
	{"relative, in a directory that nobody may write", "mkdir -p $state/deep; chmod 500 $state/deep", "", "deep/s.json", 73, "/var/lib/service_monitor/deep"},
	{"relative, upwards", "", "../m.log", "", 73, "no permission to write to the directory /var/log"},
	{"files of root", "mkdir -p $log $state; chmod 700 $log $state; umask 077; touch $log/service-monitor.log; echo {} >$state/service_states.json", "", "", 0, ""},
	{"directories that nobody may write", "mkdir -p $log $state; chmod 500 $log $state", "", "", 0, ""},
	{"log that nobody may write", "mkdir -p $log; install -m 400 /dev/null $log/service-monitor.log", "", "", 73, "no permission for /var/log/service-monitor/service-monitor.log"},
	{"state that nobody may write", "mkdir -p $state; echo {} >$state/service_states.json; chmod 400 $state/service_states.json", "", "", 0, ""},
	{"log is a directory", "mkdir -p $log/service-monitor.log", "", "", 73, "is a directory, not a regular file"},
	{"log is a named pipe", "mkdir -p $log; mkfifo -m 666 $log/service-monitor.log", "", "", 73, "is a named pipe, not a regular file"},
	{"log leads to a device", "mkdir -p $log; ln -s /dev/null $log/service-monitor.log", "", "", 73, "/dev/null is a device"},
	{"lock is a directory", "mkdir -p $state/service_states.json.lock", "", "", 73, "service_states.json.lock is a directory"},
	{"state of a newer version", `mkdir -p $state; echo '{"a.service": {"last_state": "active", "starts": 5, "stops": 4, "crashes": 0, "schema": 7}}' >$state/service_states.json`, "", "", 78, "was written by a newer version of the monitor"},
	{"only the generation before, by a link", "mkdir -p $state; ln -s x $state/service_states.json.previous", "", "", 73, "service_states.json.previous is a symbolic link"},
	{"what is left of a save is a named pipe", "mkdir -p $state; mkfifo $state/service_states.json.tmp", "", "", 0, ""},
	{"log and state are one, by a link", "install -d -o service-monitor own; ln -s s.json own/m.log", "/srv/own/m.log", "/srv/own/s.json", 78, "are both /srv/own/m.log"},
	{"elsewhere", "install -d -o service-monitor own", "/srv/own/m.log", "/srv/own/s.json", 0, "/srv/own/m.log: not in a directory of the unit; whether the unit allows it (ReadWritePaths="},
	{"elsewhere, by a group", "install -d -m 775 -g systemd-journal shared", "/srv/shared/m.log", "/srv/shared/s.json", 0, ""},
	{"elsewhere, links that lead to nothing yet", "install -d -o service-monitor own; ln -s own/m.log m.log; ln -s /srv/own/s.json s.json", "/srv/m.log", "/srv/s.json", 0, ""},
	{"elsewhere, not there", "", "/srv/none/m.log", "", 73, "config.json:1: log_file: user service-monitor cannot use /srv/none/m.log as log file: there is no directory /srv/none; make it (install -d -m 750 -o service-monitor -g service-monitor /srv/none)"},
	{"elsewhere, of root", "mkdir theirs", "", "/srv/theirs/s.json", 73, "config.json:1: persistence_file: user service-monitor cannot use /srv/theirs/s.json as state file: no permission to write to the directory /srv/theirs"},
	{"elsewhere, below a closed directory", "install -d -m 700 closed; install -d -o service-monitor closed/own", "/srv/closed/own/m.log", "", 73, "enter all directories above it"},
	{"elsewhere, the file of root", "install -d -o service-monitor own; install -m 600 /dev/null own/m.log", "/srv/own/m.log", "", 73, "no permission for /srv/own/m.log"},
	{"elsewhere, read-only", "mkdir ro; mount -t tmpfs -o mode=777,ro tmpfs ro", "/srv/ro/m.log", "", 73, "/srv/ro is read-only"},
	{"below a file", "touch file", "/srv/file/m.log", "", 73, "not a directory"},
	{"a link that goes round", "ln -s round round", "/srv/round", "", 73, "too many levels of symbolic links"},
	{"configuration of root alone", "chmod 600 " + configFile, "", "", 78, "user service-monitor cannot read the configuration file " + configFile},
}

// TestCheckJudgesAsTheStart wants --check to predict whether a start succeeds.
func TestCheckJudgesAsTheStart(t *testing.T) {
	b := bootCheckBed(t)
	for _, tt := range checks {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			b.prepare(tt.prepare, tt.log, tt.state)
			b.wantCheck("", tt.code, tt.says)
			b.sh("systemctl start service-monitor 2>/dev/null || :")
			b.wantShow("ExecMainStatus", map[int]string{0: "0", 73: "73", 78: "78"}[tt.code])
			b.wantShow("ActiveState", map[bool]string{true: "active", false: "failed"}[tt.code == 0])
			if tt.code == 0 { // check again in the sandbox, while the monitor holds the files
				b.sh("systemctl reload service-monitor")
			}
			b.sh("systemctl stop service-monitor")
		})
	}
}

// TestCheckByOthers lets other users than root call --check. It also has checks for which no start
// can be compared.
func TestCheckByOthers(t *testing.T) {
	b := bootCheckBed(t)
	for _, tt := range []struct {
		name, prepare, as, log, state string
		code                          int
		says                          string
	}{
		{"the unit's user", "", asUnit, "", "", 0, "checked with the rights of user service-monitor"},
		{"the unit's user, before the unit gives it what is root's", "mkdir -p $log; chmod 700 $log; install -m 600 /dev/null $log/service-monitor.log", asUnit, "", "", 0, ""},
		{"nobody", "", asNobody, "", "", 0, "checked with the rights of user nobody"},
		{"nobody, beside the monitor", "mkdir -p $log $state; chmod 750 $log $state", asNobody, "", "", 73, "the default log_file: user nobody cannot use /var/log/service-monitor/service-monitor.log as log file: no permission"},
		{"nobody, with files of his own", "install -d -o nobody his", asNobody, "/srv/his/m.log", "/srv/his/s.json", 0, ""},
		{"a directory of the unit is a link, with which systemd does not start it", "install -d -o service-monitor own; ln -s /srv/own $state", "", "/srv/own/m.log", "/srv/own/s.json", 73, stateDir + " is a symbolic link"},
		{"state is a named pipe", "mkdir -p $state; mkfifo -m 666 $state/service_states.json", "", "", "", 73, "is a named pipe"},
		{"state is a socket", "install -d -o service-monitor own; cp -a /run/dbus/system_bus_socket own/s.json", "", "", "/srv/own/s.json", 73, "is a socket"},
		{"shared, the file of another", "install -d -m 1777 tmp; install -m 666 /dev/null tmp/s.json", "", "", "/srv/tmp/s.json", 73, "nobody else may replace it"},
		{"a link to what only root may see", "install -d -o service-monitor own; ln -s /root/m.log own/m.log; chown -h service-monitor own/m.log", "", "/srv/own/m.log", "", 73, "permission"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			b.prepare(tt.prepare, tt.log, tt.state)
			b.wantCheck(tt.as, tt.code, tt.says)
		})
	}
	b.sh("userdel service-monitor")
	b.prepare("", "", "")
	b.wantCheck("", 0, "there is no user service-monitor here: checked with the rights of root")
}

// TestPythonConfig replaces the Python monitor, and uses its configuration file as it was written on
// Windows.
func TestPythonConfig(t *testing.T) {
	b := bootBed(t, map[string]string{"up.service": stays}, []string{"up.service"})
	const python = "\xef\xbb\xbf{\r\n  \"monitored_services\": [\"up.service\"],\r\n  \"log_file\": \"systemd_monitor.log\",\r\n  \"poll_interval\": 100,\r\n" +
		"  \"stats_interval\": 60,\r\n  \"prometheus_enabled\": true,\r\n  \"prometheus_port\": \"9100\"\r\n}"
	if err := b.WriteFile(configFile, python, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; systemctl start up; systemctl reload service-monitor")
	b.crash("up.service")
	b.awaitLog("", "up.service", "Incrementing crash counter -> 1")
	b.sh("systemctl stop service-monitor")
	text := b.sh("cat " + logDir + "/systemd_monitor.log")
	const said = "the configuration has keys that are not used, and may be removed (keys: poll_interval, prometheus_enabled, prometheus_port)"
	if strings.Count(text, said) != 1 || !strings.Contains(text, "up.service: **CRASH**") {
		t.Errorf("the log does not say once %q:\n%s", said, text)
	}
}

// bootCheckBed boots a machine whose daemon may write to /srv. systemd does not restart the daemon,
// so that the test sees how it has ended.
func bootCheckBed(t *testing.T) *bed {
	t.Helper()
	given, err := os.ReadFile(tmpfiles)
	if err != nil {
		t.Fatal(err)
	}
	b := bootBed(t, nil, []string{"up.service"}, "Restart=no")
	b.sh("mkdir -p /etc/tmpfiles.d /srv")
	for file, text := range map[string]string{
		"/etc/tmpfiles.d/service-monitor.conf": string(given),
		dropIns + "paths.conf":                 "[Service]\nReadWritePaths=/srv\n", // the test has files there
	} {
		if err := b.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.sh("systemctl daemon-reload")
	return b
}

// prepare removes the old files, runs the lines of a check, and writes the configuration.
func (b *bed) prepare(lines, log, state string) {
	b.t.Helper()
	b.sh("umount /srv/ro 2>/dev/null || :; rm -rf /srv/* " + logDir + " " + stateDir + "; systemctl reset-failed service-monitor")
	config := map[string]any{"monitored_services": []string{"up.service"}}
	for key, path := range maps.All(map[string]string{"log_file": log, "persistence_file": state}) {
		if path != "" {
			config[key] = path
		}
	}
	b.configure(b.t, config)
	b.sh("log=" + logDir + "; state=" + stateDir + "; cd /srv; " + lines)
}

// wantCheck calls --check, which must not change anything.
func (b *bed) wantCheck(as string, code int, says string) {
	b.t.Helper()
	const all = `find /srv /var/lib/service_monitor /var/log/service-monitor -printf '%p %y %u %m %s %T@ %C@\n' 2>/dev/null || :; `
	before := b.sh(all)
	out := b.sh("cd /root; timeout 300 " + as + daemonPath + " --check 2>&1 && code=0 || code=$?; echo exit code $code")
	if want := "exit code " + map[int]string{0: "0", 73: "73", 78: "78"}[code]; !strings.HasSuffix(out, want) || !strings.Contains(out, says) {
		b.t.Errorf("--check says %q, want %q and %q", out, says, want)
	}
	if after := b.sh(all); after != before {
		b.t.Errorf("--check left\n%s\nof\n%s", after, before)
	}
}
