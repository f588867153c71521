//go:build lifecycle

package lifecycle

import "testing"

// intoSbin turns the package of the monitor into one from before the program moved to /usr/bin.
const intoSbin = `for deb in "$1"/service-monitor_*.deb; do
	root=$(mktemp -d)
	dpkg-deb -R "$deb" "$root"
	mkdir "$root/usr/sbin"
	mv "$root/usr/bin/service-monitor" "$root/usr/sbin/"
	rmdir "$root/usr/bin"
	sed -i 's,/usr/bin/service-monitor check-config.*,/usr/sbin/service-monitor --check $MONITOR_OPTIONS,; s,/usr/bin/service-monitor,/usr/sbin/service-monitor,' \
		"$root/usr/lib/systemd/system/service-monitor.service"
	sed -i '/^sbin=/,/^fi$/d' "$root/DEBIAN/postinst"
	sed -i '/^link=/,/^fi$/d' "$root/DEBIAN/postrm"
	! grep -q 'bin/service-monitor' "$root/DEBIAN/postinst" "$root/DEBIAN/postrm"
	(cd "$root" && find usr -type f | xargs md5sum >DEBIAN/md5sums)
	dpkg-deb --root-owner-group -b "$root" "$deb"
	rm -r "$root"
done`

// These are places where people have named the program before it moved.
const (
	dropIn = "/etc/systemd/system/service-monitor.service.d/local.conf"
	bySbin = `[Service]
ExecStart=
ExecStart=/usr/sbin/service-monitor --config /etc/service-monitor/config.json
ExecReload=
ExecReload=/usr/sbin/service-monitor --check --config /etc/service-monitor/config.json
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
`
)

// customize writes a drop-in that names the program.
func (m *machine) customize() {
	m.t.Helper()
	if err := m.WriteFile(dropIn, bySbin, 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.sh("systemctl daemon-reload; systemctl restart " + unit + "; systemctl reload " + unit)
}

// wantMoved wants the program to be in /usr/bin, and systemd and users to find it under its old
// path, too.
func (m *machine) wantMoved() {
	m.t.Helper()
	m.want("stat -c %F /usr/bin/service-monitor", "regular file")
	m.want("readlink -f /usr/sbin/service-monitor", "/usr/bin/service-monitor")
	m.want("pid=$(systemctl show -P MainPID "+unit+"); exe=$(readlink /proc/$pid/exe); "+
		// Emulated, what runs is the emulator, and the program is among its arguments.
		"case $exe in */qemu-*) readlink -f $(tr '\\0' '\\n' </proc/$pid/cmdline | grep -m 1 'service-monitor$');; *) echo $exe;; esac",
		"/usr/bin/service-monitor")
	m.want("setpriv --reuid nobody --clear-groups env PATH=/usr/local/bin:/usr/bin:/bin service-monitor version", "service-monitor "+newer)
	m.want("dpkg --verify service-monitor | grep -v /etc/", "")
	m.sh("systemctl reload " + unit)
}

// TestMergedSbin upgrades on a system where /usr/sbin is a link to /usr/bin, as in other
// distributions. The program must not become a link to itself.
func TestMergedSbin(t *testing.T) {
	m := boot(t, nil)
	m.sh("cp -an /usr/sbin/. /usr/bin/; mv /usr/sbin /srv/sbin; /usr/bin/ln -s bin /usr/sbin")
	m.apt("install service-monitor")
	m.wantRunning(older)
	m.customize()
	m.publish()
	m.apt("install service-monitor")
	m.wantRunning(newer)
	m.wantMoved()
	m.apt("install --reinstall service-monitor")
	m.wantMoved()
	m.apt("install --allow-downgrades service-monitor=" + older)
	m.wantRunning(older)
	m.apt("install service-monitor")
	m.wantMoved()
	m.sh("rm -r " + dropIn[:len(dropIn)-len("/local.conf")])
	m.apt("purge service-monitor")
	m.want("find /usr/bin /usr/sbin/ -name 'service-monitor*'", "")
}
