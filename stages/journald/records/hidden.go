package records

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// hidden finds out why a mark does not come. The reason is for people. It is empty if nothing
// keeps the mark away for good: then journald may only be slow.
func hidden(ctx context.Context, mark string) string {
	for _, look := range []func() string{
		func() string { return elsewhere(ctx, mark) },
		func() string { return unstored(os.DirFS("/")) },
		ownLevel,
	} {
		if why := look(); why != "" {
			return why
		}
	}
	return ""
}

// elsewhere looks for the mark in the journals that we do not read: those of other namespaces
// and of other machine ids.
func elsewhere(ctx context.Context, mark string) (why string) {
	args := []string{"--merge", "--namespace=*", "MESSAGE_ID=" + markID, "MONITOR_MARK=" + mark}
	_ = journalctl(ctx, args, func(r *record) (bool, error) { // if it cannot search, it has found nothing
		switch {
		case r.namespace != "":
			why = fmt.Sprintf("the monitor writes into the journal namespace %q: take LogNamespace= out of its unit", r.namespace)
		default:
			why = fmt.Sprintf("journald writes for the machine id %s, which is not the one in /etc/machine-id: restart systemd-journald", r.machine)
		}
		return false, nil
	})
	return why
}

// levels are the values of MaxLevelStore= (journald.conf(5)), by name and by number.
var levels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// info is the level (syslog(3)) of our marks and of most records of PID 1.
const info = 6

// unstored returns why journald does not store what we read, by its configuration.
func unstored(root fs.FS) string {
	conf := journaldConf(root)
	if strings.EqualFold(conf["Storage"], "none") {
		return "journald stores nothing (Storage=none in journald.conf)"
	}
	level := conf["MaxLevelStore"]
	n := slices.Index(levels, strings.ToLower(level))
	if n < 0 {
		n, _ = strconv.Atoi(level)
		if level == "" {
			n = info
		}
	}
	if n < info {
		return fmt.Sprintf("journald does not store what PID 1 writes of starts and stops (MaxLevelStore=%s in journald.conf)", level)
	}
	return ""
}

// confDirs are where journald looks for its configuration, the most important first.
var confDirs = []string{"etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"}

// journaldConf returns the settings in journald.conf and its drop-ins. The last value of a key
// wins (systemd-system.conf(5), "Configuration Directories and Precedence").
func journaldConf(root fs.FS) map[string]string {
	conf := make(map[string]string)
	for _, dir := range confDirs {
		if readConf(root, dir+"/journald.conf", conf) {
			break // the others are not read then
		}
	}
	dropIns := make(map[string]string) // by name
	for _, dir := range slices.Backward(confDirs) {
		files, _ := fs.Glob(root, dir+"/journald.conf.d/*.conf") // the pattern is well-formed
		for _, file := range files {
			dropIns[path.Base(file)] = file
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		readConf(root, dropIns[name], conf)
	}
	return conf
}

// readConf adds the settings of a file to conf, and reports whether the file is there.
func readConf(root fs.FS, file string, conf map[string]string) bool {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") && !strings.HasPrefix(key, ";") {
			conf[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return true
}

// silenced is why the journal lacks something where PID 1 was told to be silent for a while.
const silenced = "systemd was told to write less into it for a while (systemctl log-level, log-target)"

// falls reports whether a record says that PID 1 falls silent. It writes so before it does.
// That it writes again it does not write: it is still silent then.
func falls(r *record) bool {
	level, is := strings.CutPrefix(r.text, "Setting log level to ")
	if is {
		return !slices.Contains([]string{"info.", "debug."}, level)
	}
	target, is := strings.CutPrefix(r.text, "Setting log target to ")
	return is && !slices.Contains([]string{"journal.", "journal-or-kmsg.", "auto."}, target)
}

// silentAt reports whether PID 1 was silent at a place: what it has written last before
// that is that it falls silent.
func silentAt(ctx context.Context, at Place) (silent bool, err error) {
	args := []string{"--cursor=" + string(at), "--reverse", "--lines=1", "_BOOT_ID=" + at.Boot(), "_PID=1", "PRIORITY=" + strconv.Itoa(info)}
	err = journalctl(ctx, args, func(r *record) (bool, error) {
		silent = r.pid1 && falls(r)
		return false, nil
	})
	return silent, err
}

// ownLevel finds out whether LogLevelMax= of our own unit keeps our marks out of the journal.
// systemd passes that setting to journald by a symbolic link.
func ownLevel() string {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	unit := path.Base(strings.TrimSpace(string(groups)))
	level, err := os.Readlink("/run/systemd/units/log-level-max:" + unit)
	if n, bad := strconv.Atoi(level); err != nil || bad != nil || n >= info {
		return ""
	}
	return fmt.Sprintf("journald does not store our marks: take LogLevelMax= out of %s", unit)
}
