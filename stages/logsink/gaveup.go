package logsink

import "service-monitor/stages/classify"

// noRestart is why a restart could not be scheduled, and what to do; %s is the unit.
func noRestart(result string) string {
	switch result {
	case classify.NotFound:
		return "its unit file is gone (put it back, systemctl daemon-reload, systemctl start %s)"
	case classify.BadSetting:
		return "its unit file has a bad setting (systemd-analyze verify %[1]s, mend it, systemctl daemon-reload, systemctl start %[1]s)"
	case classify.Masked:
		return "it is masked (systemctl unmask %[1]s, systemctl start %[1]s)"
	}
	return "the journal says why (journalctl _PID=1 UNIT=%[1]s; mend that, systemctl daemon-reload, systemctl start %[1]s)"
}
