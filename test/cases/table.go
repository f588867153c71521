package cases

import "service-monitor/test/gateway"

// firstPath is a script for services that fail at first: the first N runs of
// `first N STATUS NAME COMMAND...` exit with STATUS, all others run COMMAND.
const (
	firstPath = "/opt/cases/first"
	first     = `runs=0
[ -e "/run/runs-$3" ] && read -r runs <"/run/runs-$3"
echo $((runs + 1)) >"/run/runs-$3"
[ "$runs" -lt "$1" ] && exit "$2"
shift 3
exec "$@"
`
)

// unlimited lets systemd restart a unit as often as it likes.
const unlimited = "[Unit]\nStartLimitIntervalSec=0\n"

// stays is a service that does nothing for ever. With Type=exec it counts as started only after
// execve(2). So a signal reaches the service, and not the child of PID 1 before execve(2).
const stays = "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"

// All returns every case.
func All() []Case {
	var all []Case
	for _, some := range [][]Case{
		ends(), failures(), kinds(), restarts(), lastRuns(), directRestarts(), limits(), nonStarts(), requests(), cleans(), names(), files(), lostFiles(), others(),
	} {
		all = append(all, some...)
	}
	return all
}

// one returns a case of one unit.
func one(name, unit, text string, want gateway.Tally, script ...Step) Case {
	return Case{
		Name:   name,
		Units:  map[string]string{unit: text},
		Script: script,
		Want:   map[string]gateway.Tally{unit: want},
	}
}

// crashed is the tally of a unit that has started once and has crashed.
func crashed(result, code string, status int) gateway.Tally {
	return gateway.Tally{Starts: 1, Crashes: 1, Last: gateway.Crash{Result: result, Code: code, Status: status}}
}

var (
	running = gateway.Tally{Starts: 1, Running: true}
	stopped = gateway.Tally{Starts: 1, Stops: 1}
)

// ends are the ways in which a running service ends.
func ends() []Case {
	return []Case{
		one("exit 0", "case-exit-0.service", "[Service]\nExecStart=/bin/true\n", stopped,
			sh("systemctl start case-exit-0")),
		one("exit 1", "case-exit-1.service", "[Service]\nExecStart=/bin/false\n", crashed("exit-code", "exited", 1),
			sh("systemctl start case-exit-1")),
		one("an exit status that is declared a success", "case-exit-42.service",
			"[Service]\nExecStart=/bin/sh -c 'exit 42'\nSuccessExitStatus=42\n", stopped,
			sh("systemctl start case-exit-42")),
		one("systemctl stop", "case-stop.service", stays, stopped,
			sh("systemctl start case-stop"), sh("systemctl stop case-stop")),
		one("SIGTERM from outside", "case-sigterm.service", stays, stopped,
			sh("systemctl start case-sigterm"), sh("systemctl kill -s TERM case-sigterm")),
		one("SIGKILL from outside", "case-sigkill.service", stays, crashed("signal", "killed", 9),
			sh("systemctl start case-sigkill"), sh("systemctl kill -s KILL case-sigkill")),
		one("SIGSEGV", "case-sigsegv.service", stays+"LimitCORE=0\n", crashed("signal", "killed", 11),
			sh("systemctl start case-sigsegv"), sh("systemctl kill -s SEGV case-sigsegv")),
		one("watchdog", "case-watchdog.service", stays+"WatchdogSec=300ms\nLimitCORE=0\n", crashed("watchdog", "killed", 6),
			sh("systemctl start case-watchdog")),
		one("stop timeout", "case-stop-timeout.service",
			// This signal does nothing, so the service goes on after the request to stop.
			stays+"KillSignal=SIGCONT\nTimeoutStopSec=300ms\n", crashed("timeout", "killed", 9),
			sh("systemctl start case-stop-timeout"), sh("systemctl stop case-stop-timeout")),
		one("run too long", "case-runtime-max.service", stays+"RuntimeMaxSec=300ms\n", crashed("timeout", "killed", 15),
			sh("systemctl start case-runtime-max")),
		one("ExecStop= fails", "case-stop-fails.service", stays+"ExecStop=/bin/false\n", crashed("exit-code", "killed", 15),
			sh("systemctl start case-stop-fails"), sh("systemctl stop case-stop-fails")),
		one("ExecStopPost= fails", "case-stop-post-fails.service",
			"[Service]\nExecStart=/bin/true\nExecStopPost=/bin/false\n", crashed("exit-code", "exited", 0),
			sh("systemctl start case-stop-post-fails")),
	}
}

// failures are services that fail to start.
func failures() []Case {
	return []Case{
		one("missing binary", "case-no-binary.service", "[Service]\nExecStart=/no/such/binary\n", crashed("exit-code", "exited", 203),
			sh("systemctl start case-no-binary")),
		one("missing EnvironmentFile=", "case-no-environment.service", stays+"EnvironmentFile=/no/such/file\n", crashed("resources", "", 0),
			sh("! systemctl start case-no-environment")),
		one("start timeout", "case-start-timeout.service",
			"[Service]\nType=notify\nExecStart=/bin/sleep infinity\nTimeoutStartSec=300ms\n", crashed("timeout", "killed", 15),
			sh("! systemctl start case-start-timeout")),
		one("ends before it is ready", "case-protocol.service", "[Service]\nType=notify\nExecStart=/bin/true\n", crashed("protocol", "exited", 0),
			sh("! systemctl start case-protocol")),
		one("ExecStartPre= fails", "case-pre-fails.service", stays+"ExecStartPre=/bin/false\n", crashed("exit-code", "", 0),
			sh("! systemctl start case-pre-fails")),
		one("ExecStartPost= fails", "case-post-fails.service", stays+"ExecStartPost=/bin/false\n", crashed("exit-code", "killed", 15),
			sh("! systemctl start case-post-fails")),
		one("ExecStartPre= fails after a run that exited with 3", "case-stale.service",
			"[Service]\nExecStartPre=/bin/sh -c 'test ! -e /run/stale'\nExecStart=/bin/sh -c 'touch /run/stale; exit 3'\n",
			gateway.Tally{Starts: 2, Crashes: 2, Last: gateway.Crash{Result: "exit-code"}},
			sh("systemctl start case-stale"), until("case-stale.service", crashed("", "", 0)), sh("! systemctl start case-stale")),
		one("ExecStartPre= fails in a restart after a run that exited with 3", "case-stale-restart.service",
			unlimited+"[Service]\nRestart=on-failure\n"+
				"ExecStartPre=/bin/sh -c 'test ! -e /run/stale-1 || test -e /run/stale-2 || ! touch /run/stale-2'\n"+
				"ExecStart=/bin/sh -c 'test -e /run/stale-1 && exec sleep infinity; touch /run/stale-1; exit 3'\n",
			gateway.Tally{Starts: 3, Crashes: 2, Restarts: 2, Running: true, Last: gateway.Crash{Result: "exit-code"}},
			sh("systemctl start case-stale-restart")),
	}
}

// kinds are services of each Type=, without errors or with errors for which the type matters.
func kinds() []Case {
	return []Case{
		one("oneshot", "case-oneshot.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n",
			gateway.Tally{Starts: 2, Stops: 2},
			sh("systemctl start case-oneshot"), sh("systemctl start case-oneshot")),
		one("oneshot that fails", "case-oneshot-fails.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", crashed("exit-code", "exited", 1),
			sh("! systemctl start case-oneshot-fails")),
		one("oneshot that remains", "case-remains.service", "[Service]\nType=oneshot\nExecStart=/bin/true\nRemainAfterExit=yes\n",
			gateway.Tally{Starts: 2, Stops: 1, Running: true},
			sh("systemctl start case-remains"), sh("systemctl stop case-remains"), sh("systemctl start case-remains")),
		one("simple that remains", "case-remains-simple.service", "[Service]\nExecStart=/bin/true\nRemainAfterExit=yes\n", stopped,
			sh("systemctl start case-remains-simple"), sh("systemctl stop case-remains-simple")),
		one("notify", "case-notify.service",
			"[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'\n",
			gateway.Tally{Starts: 2, Stops: 1, Running: true},
			sh("systemctl start case-notify"), sh("systemctl stop case-notify"), sh("systemctl start case-notify")),
		one("forking", "case-forking.service",
			"[Service]\nType=forking\nPIDFile=/run/case-forking.pid\nExecStart=/bin/sh -c 'sleep infinity & echo $$! >/run/case-forking.pid'\n",
			crashed("signal", "killed", 9),
			sh("systemctl start case-forking"), sh("systemctl kill -s KILL case-forking")),
	}
}

// restarts are services that systemd restarts by itself.
func restarts() []Case {
	return []Case{
		one("restarted after exit 0", "case-always-0.service",
			unlimited+"[Service]\nRestart=always\nExecStart=/bin/sh "+firstPath+" 3 0 %n sleep infinity\n",
			gateway.Tally{Starts: 4, Stops: 3, Restarts: 3, Running: true},
			sh("systemctl start case-always-0")),
		one("restarted after a crash", "case-always-3.service",
			unlimited+"[Service]\nRestart=always\nExecStart=/bin/sh "+firstPath+" 3 3 %n sleep infinity\n",
			gateway.Tally{Starts: 4, Crashes: 3, Restarts: 3, Running: true, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 3}},
			sh("systemctl start case-always-3")),
		one("crash loop", "case-loop.service",
			unlimited+"[Service]\nRestart=on-failure\nRestartSec=0\nExecStart=/bin/sh "+firstPath+" 50 1 %n sleep infinity\n",
			gateway.Tally{Starts: 51, Crashes: 50, Restarts: 50, Running: true, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 1}},
			sh("systemctl start case-loop")),
		one("crash loop of a oneshot", "case-loop-oneshot.service",
			unlimited+"[Service]\nType=oneshot\nRestart=on-failure\nRestartSec=0\nExecStart=/bin/sh "+firstPath+" 10 1 %n true\n",
			gateway.Tally{Starts: 11, Stops: 1, Crashes: 10, Restarts: 10, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 1}},
			sh("systemctl start case-loop-oneshot || true")),
		one("stopped while it waits for its restart", "case-stop-restart.service",
			"[Service]\nRestart=always\nRestartSec=1h\nExecStart=/bin/false\n", crashed("exit-code", "exited", 1),
			sh("systemctl start case-stop-restart"), until("case-stop-restart.service", crashed("", "", 0)),
			sh("systemctl stop case-stop-restart")),
		// A start would only wait for the restart (service_start() of systemd).
		one("restarted by hand while it waits for its restart", "case-hand-restart.service",
			"[Service]\nRestart=always\nRestartSec=1h\nExecStart=/bin/sh "+firstPath+" 1 4 %n sleep infinity\n",
			gateway.Tally{Starts: 2, Crashes: 1, Running: true, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 4}},
			sh("systemctl start case-hand-restart"), until("case-hand-restart.service", crashed("", "", 0)),
			sh("systemctl restart case-hand-restart")),
	}
}

// directRestarts are restarts with RestartMode=direct. In between, the unit is neither failed nor
// inactive.
func directRestarts() []Case {
	const direct = "[Service]\nRestartMode=direct\n"
	some := []Case{
		one("restarted directly after exit 0", "case-direct-0.service",
			unlimited+direct+"Restart=always\nExecStart=/bin/sh "+firstPath+" 3 0 %n sleep infinity\n",
			gateway.Tally{Starts: 4, Stops: 3, Restarts: 3, Running: true},
			sh("systemctl start case-direct-0")),
		one("restarted directly after a crash", "case-direct-3.service",
			unlimited+direct+"Restart=on-failure\nExecStart=/bin/sh "+firstPath+" 3 3 %n sleep infinity\n",
			gateway.Tally{Starts: 4, Crashes: 3, Restarts: 3, Running: true, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 3}},
			sh("systemctl start case-direct-3")),
		one("restarted directly after SIGKILL", "case-direct-kill.service",
			unlimited+direct+"Type=exec\nRestart=on-failure\nRestartSec=0\nExecStart=/bin/sleep infinity\n",
			gateway.Tally{Starts: 2, Crashes: 1, Restarts: 1, Running: true, Last: gateway.Crash{Result: "signal", Code: "killed", Status: 9}},
			sh("systemctl start case-direct-kill; systemctl kill -s KILL case-direct-kill")),
		one("crash loop of a oneshot, direct", "case-direct-oneshot.service",
			unlimited+direct+"Type=oneshot\nRestart=on-failure\nRestartSec=0\nExecStart=/bin/sh "+firstPath+" 10 1 %n true\n",
			gateway.Tally{Starts: 11, Stops: 1, Crashes: 10, Restarts: 10, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 1}},
			sh("systemctl start case-direct-oneshot || true")),
		one("stopped while it waits for its direct restart", "case-direct-stop.service",
			direct+"Restart=always\nRestartSec=1h\nExecStart=/bin/false\n", crashed("exit-code", "exited", 1),
			sh("systemctl start case-direct-stop"), until("case-direct-stop.service", crashed("", "", 0)),
			sh("systemctl stop case-direct-stop")),
		one("given up after direct restarts", "case-direct-limit.service",
			limit3+direct+"Restart=on-failure\nRestartSec=0\nExecStart=/bin/false\n", givenUp,
			sh("systemctl start case-direct-limit")),
	}
	for i := range some {
		some[i].Since = 254
	}
	return some
}

// limit3 lets a unit start three times; then it hits its start limit.
const limit3 = "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n"

var (
	exited1 = gateway.Crash{Result: "exit-code", Code: "exited", Status: 1}
	givenUp = gateway.Tally{Starts: 3, Crashes: 3, Restarts: 2, Refused: 1, Last: exited1}
)

// limits are units that systemd gives up.
func limits() []Case {
	return []Case{
		one("given up after crashes", "case-limit.service", limit3+"[Service]\nRestart=on-failure\nRestartSec=0\nExecStart=/bin/false\n", givenUp,
			sh("systemctl start case-limit")),
		one("given up after clean exits", "case-limit-0.service", limit3+"[Service]\nRestart=always\nRestartSec=0\nExecStart=/bin/true\n",
			gateway.Tally{Starts: 3, Stops: 3, Restarts: 2, Refused: 1},
			sh("systemctl start case-limit-0")),
		one("given up, reset and started", "case-limit-reset.service",
			limit3+"[Service]\nRestart=on-failure\nRestartSec=0\nExecStart=/bin/sh "+firstPath+" 3 1 %n sleep infinity\n",
			gateway.Tally{Starts: 4, Crashes: 3, Restarts: 2, Refused: 1, Running: true, Last: exited1},
			sh("systemctl start case-limit-reset"), until("case-limit-reset.service", givenUp),
			sh("systemctl reset-failed case-limit-reset; systemctl start case-limit-reset")),
		one("started by hand too often", "case-limit-hand.service", limit3+"[Service]\nType=oneshot\nExecStart=/bin/false\n",
			gateway.Tally{Starts: 3, Crashes: 3, Refused: 1, Last: exited1},
			sh("for i in 1 2 3 4; do ! systemctl start case-limit-hand; done")),
	}
}

// nonStarts are starts that a condition forbids.
func nonStarts() []Case {
	return []Case{
		one("unmet condition", "case-condition.service", "[Unit]\nConditionPathExists=/no/such/file\n"+stays, gateway.Tally{},
			sh("systemctl start case-condition")),
		one("ExecCondition=", "case-exec-condition.service", stays+"ExecCondition=/bin/false\n", stopped,
			sh("systemctl start case-exec-condition")),
	}
}

// requests are what an operator asks of a service.
func requests() []Case {
	return []Case{
		one("reload", "case-reload.service", stays+"ExecReload=/bin/true\n", running,
			sh("systemctl start case-reload; systemctl reload case-reload")),
		one("restart", "case-restart.service", stays, gateway.Tally{Starts: 2, Stops: 1, Running: true},
			sh("systemctl start case-restart; systemctl restart case-restart")),
		one("reset-failed", "case-reset.service", "[Service]\nExecStart=/bin/sh "+firstPath+" 1 6 %n sleep infinity\n",
			gateway.Tally{Starts: 2, Crashes: 1, Running: true, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 6}},
			sh("systemctl start case-reset"), until("case-reset.service", crashed("", "", 0)),
			sh("systemctl reset-failed case-reset; systemctl start case-reset")),
		{
			Name: "stopped because it is bound to a service that crashed",
			Units: map[string]string{
				"case-base.service":  stays,
				"case-bound.service": "[Unit]\nBindsTo=case-base.service\nAfter=case-base.service\n" + stays,
			},
			Script: []Step{sh("systemctl start case-bound; systemctl kill -s KILL case-base")},
			Want: map[string]gateway.Tally{
				"case-base.service":  crashed("signal", "killed", 9),
				"case-bound.service": stopped,
			},
		},
	}
}

// names are units with names that need care.
func names() []Case {
	return []Case{
		{
			Name:   "instances of a template",
			Units:  map[string]string{"case-many@.service": "[Service]\nExecStart=/bin/sh -c '[ %i = a ] && exit 7; exec sleep infinity'\n"},
			Script: []Step{sh("systemctl start case-many@a case-many@b case-many@c; systemctl stop case-many@b")},
			Want: map[string]gateway.Tally{
				"case-many@a.service": crashed("exit-code", "exited", 7),
				"case-many@b.service": stopped,
				"case-many@c.service": running,
			},
		},
		{
			Name:   "a name with escapes",
			Units:  map[string]string{"a-b@.service": stays},
			Script: []Step{sh(`systemctl start 'a-b@c\x2dd.service'; systemctl kill -s KILL 'a-b@c\x2dd.service'`)},
			Want:   map[string]gateway.Tally{`a-b@c\x2dd.service`: crashed("signal", "killed", 9)},
		},
	}
}

// files are units whose files change under them, or are read again.
func files() []Case {
	const etc = "/etc/systemd/system/"
	some := []Case{
		{
			Name:  "created later",
			Files: map[string]string{"/opt/cases/case-later.service": stays},
			Script: []Step{
				sh("! systemctl start case-later"),
				sh("cp /opt/cases/case-later.service " + etc + "; systemctl daemon-reload"),
				sh("systemctl start case-later; systemctl stop case-later; systemctl start case-later"),
			},
			Want: map[string]gateway.Tally{"case-later.service": {Starts: 2, Stops: 1, Running: true}},
		},
		one("masked while running", "case-masked.service", stays, crashed("signal", "killed", 9),
			sh("systemctl start case-masked"),
			sh("ln -sf /dev/null "+etc+"case-masked.service; systemctl daemon-reload"),
			sh("systemctl kill -s KILL case-masked"), until("case-masked.service", crashed("", "", 0)),
			sh("! systemctl start case-masked")),
		one("deleted while running", "case-deleted.service", stays, crashed("signal", "killed", 9),
			sh("systemctl start case-deleted"),
			sh("rm "+etc+"case-deleted.service; systemctl daemon-reload"),
			sh("systemctl kill -s KILL case-deleted")),
		one("deleted while running, then stopped", "case-deleted-stop.service", stays, stopped,
			sh("systemctl start case-deleted-stop"),
			sh("rm "+etc+"case-deleted-stop.service; systemctl daemon-reload"),
			sh("systemctl stop case-deleted-stop")),
		one("crash loop through reloads", "case-loop-reload.service",
			unlimited+"[Service]\nRestart=always\nRestartSec=0\nExecStart=/bin/sh "+firstPath+" 40 1 %n sleep infinity\n",
			gateway.Tally{Starts: 41, Crashes: 40, Restarts: 40, Running: true, Last: gateway.Crash{Result: "exit-code", Code: "exited", Status: 1}},
			sh("systemctl start case-loop-reload; for i in 1 2 3 4; do systemctl daemon-reload; done")),
	}
	for i := range some {
		some[i].Reloads = true
	}
	return append(some, Case{
		Name:   "created later, with no reload",
		Files:  map[string]string{"/opt/cases/case-later-still.service": stays},
		Script: []Step{sh("cp /opt/cases/case-later-still.service " + etc + "; systemctl start case-later-still")},
		Want:   map[string]gateway.Tally{"case-later-still.service": running},
	})
}
