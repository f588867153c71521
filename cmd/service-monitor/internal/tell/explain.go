package tell

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// signals says what it means if a signal ended a process (signal(7)).
var signals = map[unix.Signal]string{
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
	unix.SIGTERM:   "somebody asked it to end, but not by systemctl stop",
	unix.SIGSTKFLT: "an old fault of the coprocessor",
	unix.SIGXCPU:   "it used more CPU time than it may (LimitCPU=)",
	unix.SIGXFSZ:   "it wrote a larger file than it may (LimitFSIZE=)",
	unix.SIGVTALRM: "a timer of its own ran out",
	unix.SIGPROF:   "a timer of its own ran out",
	unix.SIGIO:     "a file became ready, and it did not expect that",
	unix.SIGPWR:    "the power is failing",
	unix.SIGSYS:    "it made a system call that it may not make (SystemCallFilter=)",
}

// meanings says what the results of systemd mean (systemd.service(5), SERVICE_RESULT).
var meanings = map[string]string{
	"success":         "it ended well",
	"protocol":        "it did not tell systemd that it was ready, or not as its Type= says",
	"timeout":         "it took longer than it may to start, to stop or to run (Timeout…Sec=, RuntimeMaxSec=)",
	"watchdog":        "it did not answer systemd's watchdog in time (WatchdogSec=); it hung",
	"start-limit-hit": "it was started too often in too short a time (StartLimitBurst=)",
	"resources":       "systemd could not run it: no memory, no such file in its unit, or a restart that failed",
	"oom-kill":        "memory was short, and the kernel killed it",
	"exec-condition":  "its ExecCondition= was not met",
	"shutdown":        "the machine went down",
	"power-loss":      "the power was lost",
	"unknown":         "nobody saw it, and no record tells how",
}

// Explain returns in words how a run ended, and what that means.
func Explain(result string, code, status int32) string {
	cause := Cause(result, code, status)
	if text := meanings[result]; text != "" {
		if cause == results[result] {
			cause = result
		}
		return cause + ": " + text
	}
	switch {
	case code == 2 || code == 3:
		text := signals[unix.Signal(status)]
		if text == "" {
			text = "it got a signal that it does not know what to do with"
		}
		return fmt.Sprintf("signal %d (%s): %s", status, cause, text)
	case code == 1 && exits[status] != "":
		return cause + ": systemd could not run it; see systemd.exec(5), Process Exit Codes"
	case code == 1:
		return fmt.Sprintf("%s: it ended by itself, and said with this code that it failed", cause)
	case result == "exit-code":
		return "exit-code: a command beside the main process failed, such as ExecStartPre="
	}
	return cause
}
