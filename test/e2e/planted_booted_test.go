//go:build booted

package e2e

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

const (
	victims = "/srv/victims"
	byHand  = "systemd-run -q -G --unit=by-hand -p Type=notify /opt/service-monitor && systemctl stop by-hand"
)

// rootRuns are the commands that root runs, by hand or for the unit and the package. If a command stops
// at the first file that it refuses, the test plants one file at a time for it.
var rootRuns = []struct {
	name, command string
	stops         bool
}{
	{"by hand", byHand, true},
	{"unit", "systemctl start service-monitor && systemctl stop service-monitor", true},
	{"clear", "/opt/service-monitor --clear", true},
	{"check state", "/opt/service-monitor --check-state " + stateFile, false},
	{"check", "/opt/service-monitor --check", false},
	{"take-over", "systemd-tmpfiles --create service-monitor.conf", false},
	{"upgrade", "sh /opt/postinst configure 1", false},
	{"purge", "sh /opt/postrm purge", false},
}

// plantedNames are the files that root's commands make, write, rename or remove. No command stops at the
// files of the last entry, so these are planted together.
var plantedNames = []string{
	logPath, logPath + ".lock", stateFile, stateFile + ".lock", stateFile + ".previous",
	strings.TrimSuffix(logPath, ".log") + "-2025-07-07T10-15-23.000.log " + stateFile + ".tmp " + stateFile + ".previous.tmp " +
		stateFile + ".before-removal " + stateFile + ".before-removal.1 " + stateFile + ".before-removal.tmp " + stateFile + ".corrupt-20250707-101523.000",
}

// bootPlanted boots a machine with files that only root may touch, and with a daemon that has run
// once.
func bootPlanted(t *testing.T) *bed {
	t.Helper()
	o := gateway.Options{}
	install(t, &o, []string{"up.service"})
	for path, file := range map[string]string{
		"/etc/tmpfiles.d/service-monitor.conf": "../../systemd/tmpfiles.conf",
		"/etc/sysusers.d/service-monitor.conf": "../../systemd/sysusers.conf",
		"/opt/postinst":                        "../../debian/postinst",
		"/opt/postrm":                          "../../debian/postrm",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		o.Files[path] = string(text)
	}
	o.Files[victims+"/state"] = `{"a.service": {"starts": 5}}`
	o.Files[victims+"/log"] = "a line\n"
	o.Files[victims+"/bad"] = "{"
	b := newBed(t, o)
	b.sh("chmod 700 " + victims + "; chmod 600 " + victims + "/*")
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	return b
}

// seen returns everything about the victims that could change. Their ctime shows each write, rename,
// link and change of the owner.
func (b *bed) seen() string {
	b.t.Helper()
	return b.sh("cd " + victims + "; for f in . *; do stat -c '%n %u:%g %a %h %s %.9Y %.9Z' $f; done; cat *")
}

// afresh gives the owner empty directories.
func (b *bed) afresh() {
	b.t.Helper()
	b.sh("systemctl stop service-monitor by-hand 2>/dev/null || :; systemctl reset-failed; mkdir -p /etc/service-monitor")
	for _, dir := range []string{stateDir, logDir} {
		b.sh("rm -rf " + dir + "; install -d -m 750 -o service-monitor -g service-monitor " + dir)
	}
}

// TestPlanted plants links in place of the files that root's commands use. Each
// command must end, whether it fails or not, and no file of root may change.
func TestPlanted(t *testing.T) {
	t.Parallel() // it mostly waits
	b := bootPlanted(t)
	config := b.sh("cat /etc/service-monitor/config.json")
	plants := []struct{ name, command string }{
		{"symbolic link to a state", asMonitor + "ln -s " + victims + "/state $f"},
		{"symbolic link to what is none", asMonitor + "ln -s " + victims + "/bad $f"},
		{"symbolic link to a directory", asMonitor + "ln -s " + victims + " $f"},
		{"symbolic link to nothing", asMonitor + "ln -s " + victims + "/new $f"},
		{"named pipe", asMonitor + "mkfifo $f"},
		// root makes the link, as if fs.protected_hardlinks were off. That setting is the whole host's.
		{"hard link", "ln " + victims + "/log $f"},
	}
	for _, plant := range plants {
		for _, run := range rootRuns {
			if plant.name == "hard link" && slices.Contains([]string{"unit", "take-over", "upgrade"}, run.name) {
				continue // systemd-tmpfiles relies on fs.protected_hardlinks if that is on
			}
			names := plantedNames
			if !run.stops {
				names = []string{strings.Join(names, " ")}
			}
			t.Run(plant.name+", "+run.name, func(t *testing.T) {
				b := &bed{b.Machine, t}
				for _, names := range names {
					b.afresh()
					b.put("/etc/service-monitor/config.json", config)
					b.sh("for f in " + names + "; do rm -rf $f; " + plant.command + "; done")
					before := b.seen()
					b.sh("{ " + run.command + "; } >/dev/null 2>&1 || :")
					after := b.seen()
					if plant.name == "hard link" { // its removal changes the number of links, and the ctime
						before, after = content(before), content(after)
					}
					if after != before {
						t.Errorf("%s (-before +after)\n- %s\n+ %s", names, before, after)
					}
				}
			})
		}
	}
}

// content returns what was seen, without the number of links and the ctime.
func content(seen string) string {
	var kept []string
	for line := range strings.Lines(seen) {
		if f := strings.Fields(line); len(f) == 7 {
			line = strings.Join([]string{f[0], f[1], f[2], f[4], f[5]}, " ")
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

// TestPlantedRace keeps swapping a file and a link while root's commands run.
// There must be no time between a check of a file and its use.
func TestPlantedRace(t *testing.T) {
	t.Parallel()    // it mostly waits
	attempts := 300 // to win the race, of each command for each file
	if testing.Short() {
		attempts = 30
	}
	b := bootPlanted(t)
	for _, name := range []string{logPath, stateFile, stateFile + ".lock", stateFile + ".previous"} {
		for _, run := range rootRuns[:len(rootRuns)-2] { // all but those of the package, take-over and rm
			t.Run(run.name+" with "+name[strings.LastIndex(name, "/")+1:], func(t *testing.T) {
				b := &bed{b.Machine, t}
				b.afresh()
				before := b.seen()
				b.sh(asMonitor + `sh -c '
					i=0; while [ $i -lt ` + strconv.Itoa(attempts) + ` ]; do i=$((i+1))
						ln -s ` + victims + `/log $0.l; mv -fT $0.l $0; echo "{}" >$0.f; mv -fT $0.f $0
					done; touch $0.done' ` + name + ` 2>/dev/null & swaps=$!
					while kill -0 $swaps 2>/dev/null; do { ` + run.command + `; } >/dev/null 2>&1 || :; done; wait $swaps || :`)
				if after := b.seen(); after != before {
					t.Errorf("(-before +after)\n- %s\n+ %s", before, after)
				}
			})
		}
	}
}

// TestPlantedAbove lets another user own a part of the path above the files. root must neither follow
// that user's link, nor write with more rights than that user has.
func TestPlantedAbove(t *testing.T) {
	b := bootPlanted(t)
	b.sh("install -d -o service-monitor -g service-monitor /srv/home; mkdir /srv/home/mine")
	b.sh(asMonitor + "ln -s " + victims + " /srv/home/linked")
	before := b.seen()
	for _, dir := range []string{"linked", "mine"} {
		files := "-l /srv/home/" + dir + "/m.log -p /srv/home/" + dir + "/s.json"
		for _, more := range []string{"", " --clear"} {
			status := b.sh("s=0; timeout 20 /opt/service-monitor " + files + more + " >/dev/null 2>/srv/said || s=$?; echo $s")
			if said := b.sh("cat /srv/said"); status != "73" || !strings.Contains(said, "rights of user service-monitor, to whom /srv/home belongs") {
				t.Errorf("%s%s: exit status %s, %s", dir, more, status, said)
			}
		}
		b.sh("! /opt/service-monitor --check-state /srv/home/" + dir + "/state 2>/dev/null")
	}
	if after := b.seen(); after != before {
		t.Errorf("(-before +after)\n- %s\n+ %s", before, after)
	}
}

// TestByHand has root run the daemon by hand. The files that it makes must belong to the daemon's user,
// so that the unit can go on with them. The daemon must follow root's links to another disk.
func TestByHand(t *testing.T) {
	b := bootPlanted(t)
	b.afresh()
	b.sh(byHand + "; systemctl start service-monitor; systemctl stop service-monitor")
	b.wantShow("Result", "success")
	for _, dir := range []string{stateDir, logDir} {
		b.sh("mkdir -p /data; mv " + dir + " /data/; ln -s /data/$(basename " + dir + ") " + dir)
	}
	b.sh(byHand + "; /opt/service-monitor --check-state " + stateFile + "; [ -L " + stateDir + " ]; [ -L " + logDir + " ]")
	if owners := b.sh("stat -c %U " + stateFile + " " + stateFile + ".lock " + logPath + " " + logPath + ".lock | sort -u"); owners != "service-monitor" {
		t.Errorf("what root's run has made is of %s", owners)
	}
	if starts := b.sh("grep -c 'starting (' " + logPath); starts != "3" {
		t.Errorf("%s starts in the log, want 3", starts)
	}
	b.sh("/opt/service-monitor --clear; [ ! -e " + stateFile + " ]; [ ! -e " + logPath + " ]")
}
