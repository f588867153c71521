//go:build booted

package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

const (
	daemonPath = "/opt/service-monitor"
	webPath    = "/opt/service-monitor-web"
	webSocket  = "/run/service-monitor/web"
	stays      = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sh -c 'echo ready to serve; exec sleep infinity'\nRestart=on-failure\nRestartSec=100ms\n"
	loops      = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'echo no port to listen on; sleep 0.2; exit 7'\nRestart=always\nRestartSec=300ms\n"
	ends       = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
)

// A door lets the browser into a machine, which has no network: each connection goes to the socket of the
// program there.
type door struct {
	net.Listener
	machine *gateway.Machine
	mu      sync.Mutex
	shut    bool
	open    map[net.Conn]bool
}

func newDoor(t *testing.T, m *gateway.Machine) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l, machine: m, open: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); d.cut(true) })
	go func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			go d.enter(outside)
		}
	}()
	return d
}

func (d *door) enter(outside net.Conn) {
	defer outside.Close()
	inside, err := net.Dial("unix", fmt.Sprintf("/proc/%d/root%s", d.machine.Leader(), webSocket))
	if err != nil {
		return
	}
	defer inside.Close()
	d.mu.Lock()
	d.open[outside], d.open[inside] = true, true
	shut := d.shut
	d.mu.Unlock()
	if shut {
		return
	}
	ended := make(chan error, 2)
	for _, way := range [][2]net.Conn{{inside, outside}, {outside, inside}} {
		go func() { _, err := io.Copy(way[0], way[1]); ended <- err }()
	}
	<-ended
}

// cut breaks all connections. If shut is true, no new one is made.
func (d *door) cut(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
	for c := range d.open {
		c.Close()
	}
	clear(d.open)
}

// boot boots a gateway with the monitor, and with what serves the page.
func boot(t *testing.T, services ...string) *gateway.Machine {
	t.Helper()
	unit, err := os.ReadFile("../../systemd/service-monitor.service")
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"monitored_services": services})
	if err != nil {
		t.Fatal(err)
	}
	return gatewaytest.Boot(t, gateway.Options{
		Units: map[string]string{
			"service-monitor.service": strings.ReplaceAll(string(unit), "/usr/bin/service-monitor", daemonPath),
			"web.service":             "[Service]\nUser=service-monitor\nExecStart=" + webPath + " --listen " + webSocket + "\nRestart=always\nRestartSec=100ms\n[Unit]\nStartLimitIntervalSec=0\n",
			"stays.service":           stays, "loops.service": loops, "ends.service": ends,
		},
		Files: map[string]string{
			"/etc/service-monitor/config.json":                            string(config),
			"/etc/systemd/system/multi-user.target.d/web.conf":            "[Unit]\nWants=service-monitor.service web.service\n",
			"/etc/systemd/system/service-monitor.service.d/preserve.conf": "[Service]\nRuntimeDirectoryPreserve=yes\n",
		},
		Binds: map[string]string{daemonPath: gatewaytest.Build(t, "service-monitor"), webPath: gatewaytest.Build(t, "service-monitor-web")},
		Users: []string{"service-monitor"},
	})
}

// The page of a real gateway shows what happens there: a crash, a loop, last words, a monitor that is away,
// a link that breaks, and a reboot. Nobody touches the page meanwhile.
func TestGateway(t *testing.T) {
	m := boot(t, "stays.service", "loops.service", "ends.service", "nothing.service")
	sh := func(lines string) string {
		t.Helper()
		out, err := m.Run(t.Context(), "sh", "-ec", lines)
		if err != nil {
			t.Fatalf("%s: %v: %s", lines, err, out)
		}
		return out
	}
	d := newDoor(t, m)
	sh("systemctl start stays ends; until [ -S " + webSocket + " ]; do sleep 0.1; done")
	b := site{url: "http://" + d.Addr().String() + "/"}.visit(t, desk, "")
	b.until("live.source.readyState === 1 && " + cell("stays.service", "state") + " === 'running' && " + cell("nothing.service", "state") + " === 'not loaded' && " + cell("ends.service", "state") + " === 'exited ok'")

	b.text("(window.seenAt = 0, new MutationObserver((list, observer) => { if (" + cell("stays.service", "crashes") + " === '1') { seenAt = Date.now(); observer.disconnect(); } }).observe($('rows'), { subtree: true, childList: true, characterData: true }))")
	from := js[float64](b, "Date.now()")
	sh("systemctl kill -s SEGV stays")
	b.until("seenAt > 0")
	t.Logf("a real crash is on the page %.0f ms after systemctl kill was begun", js[float64](b, "seenAt")-from)
	b.until(cell("stays.service", "state") + " === 'running' && !!" + row("stays.service") + ".querySelector('path.crash')?.getAttribute('d')")

	sh("systemctl start loops || :")
	b.until(cell("loops.service", "state") + " === 'crash loop' && " + cell("loops.service", "why") + ".startsWith('exit 7; ')")
	b.do(press("the name", row("loops.service")+".querySelector('a')"))
	b.until("document.querySelector('.said')?.innerText.includes('no port to listen on')")
	b.until("document.querySelectorAll('#timelines path.crash').length === 2 && document.querySelectorAll('#history tr.crash').length > 2")
	b.shot("gateway")

	sh("systemctl stop loops")
	b.until("['stopped', 'failed'].includes(" + cell("loops.service", "state") + ")") // failed, if it was just to start
	sh("systemctl stop service-monitor")
	b.until("$('troubles').textContent.startsWith('THE MONITOR IS NOT RUNNING since ')")
	sh("systemctl start service-monitor")
	b.until("$('troubles').textContent === ''")
	sh("systemctl stop dbus.socket dbus")
	b.until("$('troubles').textContent.startsWith('THE MONITOR: bus lost since ') && page.monitor.blind")
	sh("systemctl start dbus.socket dbus")
	b.until("$('troubles').textContent === '' && !page.monitor.blind")

	crashes := b.text(cell("stays.service", "crashes"))
	d.cut(true)
	b.until("$('lost').textContent.startsWith('connection lost since ')")
	sh("systemctl kill -s KILL stays")
	if got := b.text(cell("stays.service", "crashes")); got != crashes {
		t.Errorf("%s crashes without a connection, and %s before", got, crashes)
	}
	d.cut(false)
	b.until("$('lost').textContent === '' && " + cell("stays.service", "crashes") + " === '2'")

	const starts = "items.get('stays.service').data.starts"
	before := b.text(starts)
	if err := m.PowerCut(); err != nil {
		t.Fatal(err)
	}
	b.until("$('lost').textContent.startsWith('connection lost since ')")
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	sh("systemctl start stays")
	b.until("$('lost').textContent === '' && $('troubles').textContent === '' && " + cell("stays.service", "state") + " === 'running' && " + starts + " > " + before)
}
