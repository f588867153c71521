//go:build booted

package packaging

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// TestExamples lets systemd read the unit with each shipped drop-in, as it is and with all its
// comments turned into settings.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	unit := strings.ReplaceAll(read(t, "../../systemd/service-monitor.service"), "/usr/bin/service-monitor", "/opt/service-monitor")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text := read(t, file)
			inForce := regexp.MustCompile(`(?m)^#([A-Z][A-Za-z]+=)`).ReplaceAllString(text, "$1")
			if inForce == text {
				t.Fatal("nothing is commented out")
			}
			o := gateway.Options{Binds: map[string]string{"/opt/service-monitor": monitor.binary}, Files: map[string]string{}, Users: []string{"service-monitor"}}
			for dir, drop := range map[string]string{"/opt/as-shipped": text, "/opt/in-force": inForce} {
				o.Files[dir+"/service-monitor.service"] = unit
				o.Files[dir+"/service-monitor.service.d/"+filepath.Base(file)] = drop
			}
			m := gatewaytest.Boot(t, o)
			for dir := range map[string]bool{"/opt/as-shipped": true, "/opt/in-force": true} {
				said, err := m.Run(t.Context(), "sh", "-c", "systemd-analyze --man=no verify "+dir+"/service-monitor.service 2>&1")
				if err != nil || said != "" {
					t.Errorf("%s: %v: %s", dir, err, said)
				}
			}
		})
	}
}
