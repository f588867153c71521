//go:build booted

package alerts

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestAlert has a Prometheus scrape service-monitor-web on a gateway, with the rules that ship. A crash loop
// begins, and the alert fires.
func TestAlert(t *testing.T) {
	binds := map[string]string{}
	for _, program := range []string{"prometheus", "promtool"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		binds["/opt/"+program] = path
	}
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	b := boot(t, fast, binds, map[string]string{
		"/etc/prometheus/rules.yml": string(text),
		"/etc/prometheus/prometheus.yml": "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n" +
			"scrape_configs:\n- job_name: service-monitor\n  static_configs:\n  - targets: ['127.0.0.1:12937']\n",
	})
	b.sh("systemd-run -q --uid=service-monitor --unit=web " + webPath + " --listen 127.0.0.1:12937")
	b.sh("systemd-run -q --unit=prometheus /opt/prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/run/prometheus --web.listen-address=127.0.0.1:9090")
	b.await(`service_monitor_unit_state{name="loops.service",state="active"} == 1`, "loops.service")
	if alerts := b.ask("ALERTS"); alerts != "" {
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
	if alerts := b.ask(`ALERTS{name=~"steady.service|flaps.service"} or ALERTS{alertname=~"Monitor.*"}`); alerts != "" {
		t.Errorf("nothing is wrong with these: %s", alerts)
	}
}

// ask asks the Prometheus of the gateway.
func (b *bed) ask(query string) string {
	b.t.Helper()
	out, err := b.Run(b.t.Context(), "/opt/promtool", "query", "instant", "http://127.0.0.1:9090", query)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out)
}

// await waits until an answer contains a text. It asks repeatedly, because nothing tells when an answer
// changes.
func (b *bed) await(query, text string) {
	b.t.Helper()
	var out string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if out = b.ask(query); strings.Contains(out, text) && strings.Contains(out, "} => ") {
			return
		}
	}
	b.t.Fatalf("%s is %s", query, out)
}
