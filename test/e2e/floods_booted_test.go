//go:build booted

package e2e

import (
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// floodLimit lets few messages of PID 1 through. journald lets more through if there is more room on
// the disk. It counts each priority apart. PID 1 logs a failure as a warning, and so it does a message
// that it cannot use. So a flood of these suppresses failures. PID 1 logs a start with priority info.
const floodLimit = "[Journal]\nRateLimitIntervalSec=1h\nRateLimitBurst=20\n"

// flood sends messages to PID 1 that it cannot use. PID 1 logs a warning for each.
const flood = "for i in $(seq 160); do " + asNobody + "env NOTIFY_SOCKET=/run/systemd/notify systemd-notify --no-block FLOOD=1; done"

// floods are ways in which any local user can make records of PID 1 get lost. Each flood lasts until
// the units have started, stopped and crashed.
var floods = []struct{ name, begin, end string }{
	{
		"the socket of notifications",
		flood, "true",
	},
	{
		// journald is slow, and its socket is full. One sender alone may not fill it, so there are
		// four. PID 1 waits 10 ms for each record. After that the record is lost.
		"the socket of journald",
		"systemctl kill -s STOP systemd-journald; for i in 1 2 3 4; do yes flood | timeout 3 " + asNobody + "logger -d -u /run/systemd/journal/socket & done; wait",
		"systemctl kill -s CONT systemd-journald",
	},
}

// TestFloods lets a local user flood the sockets of PID 1 and of journald in a gap. Records of PID 1
// get lost before journald says that it has left out some. No crash may be counted as a stop,
// and no stop as a crash. At worst they are unknown ends, and the monitor says so.
func TestFloods(t *testing.T) {
	t.Parallel() // it mostly waits
	units := map[string]string{
		"crashes.service":   diarist(forEver, "Type=exec"),
		"returns.service":   diarist(forEver, "Type=exec", "Restart=always", "RestartSec=0"),
		"reset.service":     diarist(forEver, "Type=exec"),
		"restarted.service": diarist(forEver, "Type=exec"),
		"stopped.service":   diarist(forEver, "Type=exec"),
		"stays.service":     diarist(forEver, "Type=exec"),
	}
	var names []string
	for name := range units {
		names = append(names, name)
	}
	for _, tt := range floods {
		t.Run(tt.name, func(t *testing.T) {
			o := gateway.Options{Units: units, Files: map[string]string{"/etc/systemd/journald.conf.d/lost.conf": floodLimit}}
			install(t, &o, names)
			b := newBed(t, o)
			b.sh("mkdir " + diaries + "; systemctl start service-monitor; systemctl start " + strings.Join(names, " ") + "; systemctl stop service-monitor")
			b.sh(tt.begin)
			b.crashed("crashes.service", false)
			b.crashed("reset.service", false)
			b.sh("systemctl reset-failed reset; systemctl restart restarted; systemctl stop stopped")
			for range 3 {
				b.crashed("returns.service", true)
			}
			b.crashed("restarted.service", false)
			b.sh("systemctl start restarted; " + tt.end)
			b.sh("systemctl start service-monitor; systemctl stop service-monitor")
			state, log := readState(t, b.Machine), b.readLog()
			missed := 0
			for _, unit := range names {
				is, was := state[unit], b.diary(unit)
				if is.Starts > was.starts || is.Crashes > was.crashes || is.Stops > was.stops {
					t.Errorf("%s: counted more than there was (-diary +counted)\n- %+v\n+ %+v", unit, was, is)
				}
				short := is.Starts < was.starts || is.Crashes < was.crashes || is.Stops < was.stops
				if short && !is.AtLeast {
					t.Errorf("%s: counted less than there was, and does not say so (-diary +counted)\n- %+v\n+ %+v", unit, was, is)
				}
				if short {
					missed++
				}
			}
			t.Logf("%d units were counted less than they lived", missed) // 0 is no error, because not all systems can be flooded
			if missed > 0 && !strings.Contains(log, atLeast) {
				t.Errorf("the log does not say so:\n%s", log)
			}
			if s := state["stays.service"]; s.Starts != 1 || s.ends() != 0 {
				t.Errorf("stays.service: %+v", s)
			}
			// While the monitor watches, counts are exact again.
			was := b.diaries(names...)
			b.sh("systemctl start service-monitor; systemctl stop stays; systemctl start crashes")
			b.crashed("returns.service", true)
			b.sh("systemctl stop service-monitor")
			b.wantWritten(state, readState(t, b.Machine), was)
		})
	}
}
