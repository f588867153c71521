// Package tell says in words what the monitor knows. Its functions are pure: they take records and
// times, and make text of them.
package tell

import (
	"fmt"
	"strings"
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
)

// Span returns a duration in its two largest units, such as "3h 12m". A duration below ten seconds
// is more exact.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < 100*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return two(int(d.Minutes()), "m", int(d.Seconds())%60, "s")
	case d < 24*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "m")
	}
	return two(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
}

func two(n int, unit string, rest int, smaller string) string {
	if rest == 0 {
		return fmt.Sprintf("%d%s", n, unit)
	}
	return fmt.Sprintf("%d%s %d%s", n, unit, rest, smaller)
}

// exits are the exit codes of systemd itself, if it could not run the program (systemd.exec(5),
// "Process Exit Codes"). The tables here are arrays. Go would build maps whenever a program starts, and
// the monitor needs none of them.
var exits = [...]string{
	200: "CHDIR, no working directory", 201: "NICE", 202: "FDS", 203: "EXEC, no program", 204: "MEMORY", 205: "LIMITS",
	206: "OOM_ADJUST", 207: "SIGNAL_MASK", 208: "STDIN", 209: "STDOUT", 210: "CHROOT", 211: "IOPRIO", 212: "TIMERSLACK",
	213: "SECUREBITS", 214: "SETSCHEDULER", 215: "CPUAFFINITY", 216: "GROUP, no such group", 217: "USER, no such user",
	218: "CAPABILITIES", 219: "CGROUP", 220: "SETSID", 221: "CONFIRM", 222: "STDERR", 224: "PAM", 225: "NETWORK",
	226: "NAMESPACE", 227: "NO_NEW_PRIVILEGES", 228: "SECCOMP", 229: "SELINUX_CONTEXT", 230: "PERSONALITY", 231: "APPARMOR",
	232: "ADDRESS_FAMILIES", 233: "RUNTIME_DIRECTORY", 235: "CHOWN", 236: "SMACK_PROCESS_LABEL", 237: "KEYRING",
	238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY", 240: "LOGS_DIRECTORY", 241: "CONFIGURATION_DIRECTORY",
	242: "NUMA_POLICY", 243: "CREDENTIALS", 245: "BPF",
}

// brief returns what happened, if the result says that better than the exit of the main process
// does. Otherwise it returns nothing.
func brief(result string) string {
	switch result {
	case "timeout", "start-limit-hit":
		return strings.ReplaceAll(result, "-", " ")
	case "watchdog":
		return "watchdog, no answer in time"
	case "oom-kill":
		return "oom-kill, memory was short"
	case "protocol":
		return "protocol, not ready as Type= says"
	case "resources":
		return "resources, systemd could not run it"
	case "unknown":
		return "nobody knows how"
	case "shutdown":
		return "the machine went down"
	case "power-loss":
		return "the power was lost"
	case "exec-condition":
		return "ExecCondition= was not met"
	}
	return ""
}

// exitName returns the name that systemd has for an exit code of its own; empty if it is none.
func exitName(code int32) string {
	if code < 0 || int(code) >= len(exits) {
		return ""
	}
	return exits[code]
}

// ofOther reports whether the result is that of another command than the main process, whose code and status fit
// to another result. If ExecStartPost= fails, for example, systemd ends the main process with SIGTERM.
func ofOther(result string, code, status int32) bool {
	switch result {
	case "exit-code":
		return code != 1 || status == 0
	case "signal":
		return code != 2
	case "core-dump":
		return code != 3
	}
	return false
}

// Cause returns in words how a run ended.
func Cause(result string, code, status int32) string {
	c := classify.Cause{Result: result, Code: code, Status: status}
	if text := brief(result); text != "" {
		return text
	}
	if ofOther(result, code, status) {
		return result + ", of another command"
	}
	if signal := c.Signal(); signal != "none" {
		_, name, _ := strings.Cut(strings.TrimSuffix(signal, ")"), "(")
		if name == "" {
			name = "signal " + signal
		}
		if result == "core-dump" {
			name += ", core dumped"
		}
		return name
	}
	if exit := c.ExitCode(); exit != "none" && exit != "0" {
		if text := exitName(status); text != "" && result == "exit-code" {
			return exit + "/" + text
		}
		return "exit " + exit
	}
	return result
}

// events returns in words what a record of several events stands for.
func events(d store.Counts) string {
	var words []string
	for _, c := range []struct {
		n    int64
		what string
	}{{d.Starts, "start"}, {d.Stops, "stop"}, {d.Crashes, "crash"}, {d.Unknown, "unknown end"}, {d.Restarts, "restart"}} {
		if c.n != 0 {
			words = append(words, plural(c.n, c.what))
		}
	}
	return strings.Join(words, ", ")
}

func plural(n int64, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "sh"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
