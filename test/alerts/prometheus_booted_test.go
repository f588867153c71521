//go:build booted

package alerts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAlert has a Prometheus scrape service-monitor-web on a gateway, with the rules that ship. A crash loop
// begins, and the alert fires.
func TestAlert(t *testing.T) {
	all, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	b := boot(t, fast)
	b.sh("systemd-run -q --uid=service-monitor --unit=web " + webPath + " --listen 127.0.0.1:12937")
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs:\n- job_name: service-monitor\n  static_configs:\n  - targets: ['127.0.0.1:12937']\n", all)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := b.beside("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:9090")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	b.await(`service_monitor_unit_state{name="loops.service",state="active"} == 1`, "loops.service")
	if alerts := b.ask(`ALERTS{alertstate="firing"}`); alerts != "" {
		t.Errorf("before the trouble: %s", alerts)
	}
	b.sh("touch /run/trouble")
	b.await(`ALERTS{alertname="ServiceCrashLoop",alertstate="firing",name="loops.service"}`, "loops.service")
	b.await(`ALERTS{alertname="ServiceGaveUp",alertstate="firing"}`, "gives.service")
	truth, err := b.Truth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := truth["loops.service"].Crashes; n < 3 {
		t.Errorf("the alert fires after %d crashes", n)
	}
	if alerts := b.ask(`ALERTS{name=~"steady.service|flaps.service"} or ALERTS{alertname=~"Monitor.*",alertstate="firing"}`); alerts != "" {
		t.Errorf("nothing is wrong with these: %s", alerts)
	}
}

// beside returns a program of this host that uses the network of the gateway. The libraries of the gateway may
// be too old for it.
func (b *bed) beside(argv ...string) *exec.Cmd {
	return exec.CommandContext(b.t.Context(), "nsenter", append([]string{"--target", strconv.Itoa(b.Leader()), "--net"}, argv...)...)
}

// ask asks the Prometheus.
func (b *bed) ask(query string) string {
	b.t.Helper()
	out, err := b.beside("promtool", "query", "instant", "http://127.0.0.1:9090", query).CombinedOutput()
	if err != nil {
		return err.Error() + ": " + string(out)
	}
	return strings.TrimSpace(string(out))
}

// await waits until an answer contains a text. It asks repeatedly, because nothing tells when an answer
// changes.
func (b *bed) await(query, text string) {
	b.t.Helper()
	var out string
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); { // each question takes promtool a while
		if out = b.ask(query); strings.Contains(out, text) && strings.Contains(out, "} => ") {
			return
		}
	}
	b.t.Fatalf("%s is %s", query, out)
}
