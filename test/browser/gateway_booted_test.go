//go:build booted

package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

const stays = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"

// A booted is a booted gateway with the monitor and the page.
type booted struct {
	*gateway.Machine
	t *testing.T
}

func boot(t *testing.T) *booted {
	t.Helper()
	o := gateway.Options{
		Units: map[string]string{"dies.service": stays, "well.service": stays},
		Files: map[string]string{"/etc/service-monitor/config.json": `{"monitored_services": ["dies.service", "well.service"]}`},
		Binds: map[string]string{},
	}
	for _, program := range []string{"service-monitor", "service-monitor-web"} {
		unit := text(t, "../../systemd/"+program+".service")
		o.Units[program+".service"] = strings.ReplaceAll(unit, "/usr/bin/"+program, "/opt/"+program)
		o.Binds["/opt/"+program] = built(t, program)
	}
	for path, file := range map[string]string{
		"/etc/dbus-1/system.d/service-monitor.conf": "dbus.conf", "/etc/sysusers.d/a.conf": "sysusers.conf", "/etc/sysusers.d/b.conf": "web-sysusers.conf",
		"/etc/systemd/system/service-monitor-web.socket": "service-monitor-web.socket", "/etc/systemd/system/service-monitor-web-stopped.target": "service-monitor-web-stopped.target",
	} {
		o.Files[path] = text(t, "../../systemd/"+file)
	}
	r := &booted{gatewaytest.Boot(t, o), t}
	r.start()
	return r
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// built builds a program for the machine.
func built(t *testing.T, program string) string {
	t.Helper()
	arch, err := gateway.Architecture(os.Getenv(gatewaytest.System))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // the user of the unit runs it
		t.Fatal(err)
	}
	file := filepath.Join(dir, program)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-o", file, "service-monitor/cmd/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

func (r *booted) sh(lines string) string {
	r.t.Helper()
	out, err := r.Run(r.t.Context(), "sh", "-ec", lines)
	if err != nil {
		r.t.Fatalf("%s: %v", lines, err)
	}
	return strings.TrimSpace(out)
}

func (r *booted) start() {
	r.t.Helper()
	r.sh("systemctl start dies well service-monitor service-monitor-web.socket")
}

// serve lets this host ask on the socket of the machine, whichever boot it is in.
func (r *booted) serve() site {
	machine, _ := url.Parse("http://machine")
	proxy := httputil.NewSingleHostReverseProxy(machine)
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/%d/root/run/service-monitor-web.sock", r.Leader()))
	}}
	s := httptest.NewServer(proxy)
	r.t.Cleanup(s.Close)
	return site{url: s.URL + "/"}
}

// TestGateway lets a real service crash under the eyes of a browser. The monitor is stopped and started, the
// page's own program is killed, and the gateway reboots: the page says what is, and goes on by itself.
func TestGateway(t *testing.T) {
	r := boot(t)
	b := r.serve().visit(t, desk, "")
	crashes := func(n int) string {
		return fmt.Sprintf("%s && %s === '%d'", row("dies.service"), cell("dies.service", "crashes"), n)
	}
	b.until("live.source.readyState === 1 && " + crashes(0))
	r.sh("systemctl kill -s KILL --kill-who=main dies")
	b.until(crashes(1) + " && " + cell("dies.service", "state") + " === 'failed'")
	b.until(cell("dies.service", "why") + ".startsWith('SIGKILL; Restart=no')")

	r.sh("systemctl stop service-monitor")
	b.until("$('asof').textContent.includes('not running')")
	r.sh("systemctl start dies; systemctl kill -s KILL --kill-who=main dies; systemctl start service-monitor")
	b.until("!$('asof').textContent.includes('not running') && " + crashes(2))

	r.sh("systemctl kill -s KILL service-monitor-web; systemctl start dies; systemctl kill -s KILL --kill-who=main dies")
	b.until("live.source.readyState === 1 && " + crashes(3))

	if err := r.PowerCut(); err != nil {
		t.Fatal(err)
	}
	b.until("$('lost').textContent !== ''")
	if err := r.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.start()
	b.until("$('lost').textContent === '' && live.source.readyState === 1")
	r.sh("systemctl kill -s KILL --kill-who=main dies")
	b.until(cell("dies.service", "state") + " === 'failed' && Number(" + cell("dies.service", "crashes") + ") === 4")
}
