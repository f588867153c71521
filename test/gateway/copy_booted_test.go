//go:build booted

package gateway_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// control is the control file of an empty package.
const control = "Package: trifle\nVersion: 1\nArchitecture: all\nMaintainer: none <none@localhost>\nDescription: nothing\n"

// TestCopy installs a package, and reboots. It must not copy the host's own root, so it needs
// another tree. Each `make booted-...` names one.
func TestCopy(t *testing.T) {
	t.Parallel()
	system := os.Getenv(gatewaytest.System)
	if system == "" {
		t.Skip("needs the root of a whole Debian, and " + gatewaytest.System + " names none")
	}
	before := snapshot(t, system)
	var name string
	t.Run("life", func(t *testing.T) { name = liveInCopy(t) })
	checkGone(t, name)
	if after := snapshot(t, system); after != before {
		t.Errorf("%s has changed (-before +after)\n- %s\n+ %s", system, before, after)
	}
}

// liveInCopy does in a copy what is possible only in a copy, and wants the result to last. It
// returns the machine's name.
func liveInCopy(t *testing.T) string {
	t.Helper()
	host := filepath.Join(t.TempDir(), "bound")
	if err := os.WriteFile(host, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := gatewaytest.Boot(t, gateway.Options{
		Copy:  true,
		Units: map[string]string{"mine.service": "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"},
		Files: map[string]string{"/usr/share/trifle/DEBIAN/control": control},
		Binds: map[string]string{"/usr/share/bound": host},
		Users: []string{"someone"},
	})
	check := func(script, want string) {
		t.Helper()
		if got, err := m.Run(t.Context(), "sh", "-ec", script); err != nil || strings.TrimSpace(got) != want {
			t.Errorf("%s: got %q, %v, want %q", script, got, err, want)
		}
	}
	must := func(script string) {
		t.Helper()
		if _, err := m.Run(t.Context(), "sh", "-ec", script); err != nil {
			t.Fatal(err)
		}
	}
	must("dpkg-deb -b /usr/share/trifle /root/trifle.deb; apt-get install -qy /root/trifle.deb; systemctl enable --now mine; echo lasts >/usr/mine")
	for boots := range 2 {
		if boots > 0 {
			again(t, m, m.PowerOff)
		}
		check("systemctl is-system-running", "running")
		check("systemctl is-active mine", "active")
		check("systemctl show -P LoadState systemd-logind", "masked")
		check("hostname", m.Name())
		check("cat /usr/mine /usr/share/bound", "lasts\nof the host")
		check("dpkg -l dbus trifle | grep -c ^ii", "2")
		check("setpriv --reuid=someone --regid=someone --init-groups --inh-caps=-all --bounding-set=-all "+
			"journalctl -q --output=cat _PID=1 | grep -c 'Startup finished'", strconv.Itoa(boots+1))
	}
	return m.Name()
}

func TestCopyOfTheHost(t *testing.T) {
	t.Parallel()
	m, err := gateway.Boot(t.Context(), gateway.Options{Copy: true})
	if err == nil {
		t.Errorf("got a machine, %v, want an error", m.Close())
	}
}

// snapshot returns which file of a tree has changed last, and when: its text, its owner, its
// mode or its number of links. A directory changes if a name in it does.
func snapshot(t *testing.T, tree string) string {
	t.Helper()
	var last string
	var when unix.Timespec
	err := filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil {
			return err
		}
		if s.Ctim.Nano() > when.Nano() {
			last, when = path, s.Ctim
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(when.Unix()).String() + " " + last
}
