package tell

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"service-monitor/stages/chronicle/store"
)

// signals has what it means if a signal ended a process (signal(7)).
var signals = [...]string{
	unix.SIGHUP:    "its terminal or its parent went away, or somebody meant it to reload",
	unix.SIGINT:    "somebody interrupted it",
	unix.SIGQUIT:   "somebody asked it to end with a core dump",
	unix.SIGILL:    "it ran an instruction that this CPU does not have: a build for another CPU, or damaged code",
	unix.SIGTRAP:   "it hit a breakpoint, or a check of its language",
	unix.SIGABRT:   "it ended itself: a failed check, an uncaught exception, or damaged memory",
	unix.SIGBUS:    "it used memory that is not there: a file that became shorter, or a bad disk",
	unix.SIGFPE:    "it calculated what cannot be, such as a division by zero",
	unix.SIGKILL:   "somebody killed it, and it could not react: a person, a program, or the kernel",
	unix.SIGUSR1:   "it got a signal that it does not know what to do with",
	unix.SIGSEGV:   "it used memory that is not its own",
	unix.SIGUSR2:   "it got a signal that it does not know what to do with",
	unix.SIGPIPE:   "it wrote to something that nobody reads any more",
	unix.SIGALRM:   "a timer of its own ran out",
	unix.SIGTERM:   "it was asked to end before it was done, by systemctl stop or by somebody else",
	unix.SIGSTKFLT: "an old fault of the coprocessor",
	unix.SIGXCPU:   "it used more CPU time than it may (LimitCPU=)",
	unix.SIGXFSZ:   "it wrote a larger file than it may (LimitFSIZE=)",
	unix.SIGVTALRM: "a timer of its own ran out",
	unix.SIGPROF:   "a timer of its own ran out",
	unix.SIGIO:     "a file became ready, and it did not expect that",
	unix.SIGPWR:    "the power is failing",
	unix.SIGSYS:    "it made a system call that it may not make (SystemCallFilter=)",
}

// meaning returns what a result of systemd means (systemd.service(5), SERVICE_RESULT). It is empty
// if the exit of the main process says more.
func meaning(result string) string {
	switch result {
	case "success":
		return "it ended well"
	case "protocol":
		return "it did not tell systemd that it was ready, or not as its Type= says"
	case "timeout":
		return "it took longer than it may to start, to stop or to run (Timeout…Sec=, RuntimeMaxSec=)"
	case "watchdog":
		return "it did not answer systemd's watchdog in time (WatchdogSec=); it hung"
	case "start-limit-hit":
		return "it was started too often in too short a time (StartLimitBurst=)"
	case "resources":
		return "systemd could not run it: no memory, no such file in its unit, or a restart that failed"
	case "oom-kill":
		return "memory was short, and the kernel killed it"
	case "exec-condition":
		return "its ExecCondition= was not met"
	case "shutdown":
		return "the machine went down"
	case "power-loss":
		return "the power was lost"
	case "unknown":
		return "nobody saw it, and no record tells how"
	}
	return ""
}

// Explain returns in words how a run ended, and what that means.
func Explain(result string, code, status int32) string {
	cause := Cause(result, code, status)
	if text := meaning(result); text != "" {
		if cause == brief(result) {
			cause = result
		}
		return cause + ": " + text
	}
	switch {
	case ofOther(result, code, status) && code == 0:
		return result + ": a command beside the main process failed, such as ExecStartPre=, or ExecStart= of Type=forking"
	case ofOther(result, code, status):
		return result + ": a command beside the main process failed, such as ExecStartPost=, ExecStop= or ExecStopPost="
	case code == 2 || code == 3:
		text := "it got a signal that it does not know what to do with"
		if status >= 0 && int(status) < len(signals) && signals[status] != "" {
			text = signals[status]
		}
		return fmt.Sprintf("signal %d (%s): %s", status, cause, text)
	case code == 1 && exitName(status) != "":
		return cause + ": systemd could not run it; see systemd.exec(5), Process Exit Codes"
	case code == 1:
		return fmt.Sprintf("%s: it ended by itself, and said with this code that it failed", cause)
	}
	return cause
}

// ruleWords says by what a crash was counted, by classify.Rule.
func ruleWords(rule string) string {
	switch rule {
	case "down-after-run":
		return "the unit was down after its invocation had run, and systemd's Result is not success"
	case "record":
		return "a record of systemd in the journal says so"
	case "next-run":
		return "another invocation is there, so this one has ended"
	case "boot-over":
		return "the boot ended with it"
	}
	return ""
}

func flagWords(f store.Flags) string {
	var words []string
	if f&store.Recovered != 0 {
		words = append(words, "nobody watched then; it was read in the journal later")
	}
	if f&store.AtLeast != 0 {
		words = append(words, "there may have been more")
	}
	if f&store.Untrusted != 0 {
		words = append(words, "the clock was not set, so its time is wrong")
	}
	return strings.Join(words, "; ")
}
