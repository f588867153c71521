package cases

import "service-monitor/test/gateway"

// restartedOnce is the tally of a unit that has crashed once and was restarted.
var restartedOnce = gateway.Tally{Starts: 2, Crashes: 1, Restarts: 1, Running: true}

// lastRuns are units that fail once more after a restart, and that systemd must not restart again
// because of their settings. So systemd has not given up.
func lastRuns() []Case {
	const (
		service = unlimited + "[Service]\nType=notify\nNotifyAccess=all\nRestartSec=50ms\n"
		ready   = "systemd-notify --ready; "
		// The first run stays, and the second exits with 3.
		second = "ExecStart=/bin/sh -c '" + ready + "mkdir /run/%N-ran && exec sleep infinity; exit 3'\n"
	)
	failed := func(result, code string, status int) gateway.Tally {
		return gateway.Tally{Starts: 2, Crashes: 2, Restarts: 1, Last: gateway.Crash{Result: result, Code: code, Status: status}}
	}
	return []Case{
		one("restarted, then stopped with 143", "case-143.service",
			service+"Restart=on-failure\nExecStart=/bin/sh -c 'trap \"exit 143\" TERM; "+ready+"while :; do sleep .05; done'\n",
			failed("exit-code", "exited", 143),
			sh("systemctl start case-143; systemctl kill -s KILL case-143"), until("case-143.service", restartedOnce),
			sh("systemctl stop case-143")),
		one("restarted, then killed by its stop timeout", "case-timeout-143.service",
			service+"Restart=on-failure\nKillSignal=SIGCONT\nTimeoutStopSec=300ms\nExecStart=/bin/sh -c '"+ready+"exec sleep infinity'\n",
			failed("timeout", "killed", 9),
			sh("systemctl start case-timeout-143; systemctl kill -s KILL case-timeout-143"), until("case-timeout-143.service", restartedOnce),
			sh("systemctl stop case-timeout-143")),
		one("restarted, then failed with Restart=on-abnormal", "case-abnormal.service",
			service+"Restart=on-abnormal\n"+second, failed("exit-code", "exited", 3),
			sh("systemctl start case-abnormal; systemctl kill -s KILL case-abnormal")),
		one("restarted, then failed with RestartPreventExitStatus=", "case-prevent.service",
			service+"Restart=always\nRestartPreventExitStatus=3\n"+second, failed("exit-code", "exited", 3),
			sh("systemctl start case-prevent; systemctl kill -s KILL case-prevent")),
	}
}

// lostFiles are units that wait for a restart that then fails, mostly because a file is gone.
func lostFiles() []Case {
	const (
		etc     = "/etc/systemd/system/"
		service = unlimited + "[Service]\nRestartSec=1h\n"
		fails   = service + "Restart=on-failure\nExecStart=/bin/false\n"
	)
	gone := gateway.Tally{Starts: 1, Crashes: 1, Failed: 1, Last: exited1}
	// systemd tries at once after the daemon-reload, because RestartSec= is lost with the file.
	lost := func(name, unit, change string) Case {
		return one(name, unit, fails, gone,
			sh("systemctl start "+unit), until(unit, crashed("", "", 0)), sh(change+etc+unit+"; systemctl daemon-reload"))
	}
	some := []Case{
		lost("its unit file is gone when it is to be restarted", "case-restart-gone.service", "rm "),
		lost("its unit file is bad when it is to be restarted", "case-restart-bad.service",
			`printf '[Service]\nRestart=on-failure\nRestartSec=50ms\n' >`),
		lost("it is masked when it is to be restarted", "case-restart-masked.service", "ln -sf /dev/null "),
		one("its unit file is gone when it is to be restarted after exit 0", "case-restart-gone-0.service",
			service+"Restart=always\nExecStart=/bin/true\n", gateway.Tally{Starts: 1, Stops: 1, Failed: 1},
			sh("systemctl start case-restart-gone-0"), until("case-restart-gone-0.service", stopped),
			sh("rm "+etc+"case-restart-gone-0.service; systemctl daemon-reload")),
		{
			Name: "what it needs is gone when it is to be restarted",
			Units: map[string]string{
				"case-needs.service":  fails + "[Unit]\nRequires=case-needed.service\nAfter=case-needed.service\n",
				"case-needed.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
			},
			Script: []Step{
				sh("systemctl start case-needs"), until("case-needs.service", crashed("", "", 0)),
				sh("rm " + etc + "case-needed.service; sed -i s/RestartSec=1h/RestartSec=50ms/ " + etc + "case-needs.service; systemctl daemon-reload"),
			},
			Want: map[string]gateway.Tally{"case-needs.service": gone},
		},
	}
	for i := range some {
		some[i].Reloads = true
	}
	return some
}

// others are units whose restart depends on how another unit is.
func others() []Case {
	return []Case{{
		Name: "what it needs fails when it is to be restarted",
		Units: map[string]string{
			"case-requires.service": unlimited + "Requires=case-required.service\nAfter=case-required.service\n[Service]\nRestart=on-failure\nExecStart=/bin/false\n",
			"case-required.service": "[Service]\nType=oneshot\nExecStart=/bin/mkdir /run/case-required\n",
		},
		Script: []Step{sh("systemctl start case-requires")},
		Want: map[string]gateway.Tally{
			"case-requires.service": {Starts: 1, Crashes: 1, Failed: 1, Last: exited1},
			"case-required.service": {Starts: 2, Stops: 1, Crashes: 1, Last: exited1},
		},
	}, {
		Name: "stopped while its restart waits for its turn",
		Units: map[string]string{
			"case-turn.service":  unlimited + "Wants=case-turns.service\nAfter=case-turns.service\n[Service]\nRestart=on-failure\nExecStart=/bin/false\n",
			"case-turns.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'mkdir /run/case-turns || exec sleep infinity'\n",
		},
		Script: []Step{
			sh("systemctl start case-turn"), until("case-turns.service", gateway.Tally{Starts: 2, Stops: 1, Running: true}),
			sh("systemctl stop case-turn"),
		},
		Want: map[string]gateway.Tally{
			"case-turn.service":  crashed("exit-code", "exited", 1),
			"case-turns.service": {Starts: 2, Stops: 1, Running: true},
		},
	}}
}

// cleans call systemctl clean for a unit that stays loaded because another unit refers to it. Such
// a unit still has its last invocation ID.
func cleans() []Case {
	kept := func(unit string) map[string]string {
		return map[string]string{"/etc/systemd/system/multi-user.target.d/" + unit + ".conf": "[Unit]\nAfter=" + unit + "\n"}
	}
	const state = "StateDirectory=%N\n"
	some := []Case{
		one("cleaned after a stop, and started again", "case-clean.service", stays+state, gateway.Tally{Starts: 2, Stops: 1, Running: true},
			sh("systemctl start case-clean; systemctl stop case-clean; systemctl clean --what=state case-clean; systemctl start case-clean")),
		one("cleaned before it ever ran", "case-clean-first.service", stays+state, running,
			sh("systemctl clean --what=state case-clean-first; systemctl start case-clean-first")),
		one("a clean that fails", "case-clean-fails.service", stays+state, stopped,
			sh("systemctl start case-clean-fails; systemctl stop case-clean-fails"),
			sh("mount --bind /var/lib/case-clean-fails /var/lib/case-clean-fails; systemctl clean --what=state case-clean-fails || true"),
			sh("umount /var/lib/case-clean-fails")),
		one("a clean that fails after a crash", "case-clean-crashed.service", "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1h\n"+state,
			crashed("exit-code", "exited", 1),
			sh("systemctl start case-clean-crashed"), until("case-clean-crashed.service", crashed("", "", 0)),
			sh("systemctl stop case-clean-crashed; mount --bind /var/lib/case-clean-crashed /var/lib/case-clean-crashed"),
			sh("systemctl clean --what=state case-clean-crashed || true; umount /var/lib/case-clean-crashed")),
	}
	for i := range some {
		for unit := range some[i].Units {
			some[i].Files = kept(unit)
		}
	}
	return append(some,
		one("frozen and thawed", "case-frozen.service", stays, running,
			sh("systemctl start case-frozen; systemctl freeze case-frozen; systemctl thaw case-frozen")),
		one("killed while frozen", "case-frozen-kill.service", stays, crashed("signal", "killed", 9),
			sh("systemctl start case-frozen-kill; systemctl freeze case-frozen-kill; systemctl kill -s KILL case-frozen-kill")))
}
