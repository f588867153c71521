//go:build booted

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// certificates makes those of a broker and of a gateway. The key of the gateway is in a credential of the unit.
const certificates = `
cd /etc/service-monitor
export OPENSSL_CONF=/dev/null
make() { openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 "$@" 2>/dev/null; }
make -subj /CN=authority -addext basicConstraints=critical,CA:TRUE -keyout ca-key.pem -out ca.pem
signed() { make -CA ca.pem -CAkey ca-key.pem -addext basicConstraints=critical,CA:FALSE "$@"; }
signed -subj /CN=broker -addext subjectAltName=DNS:broker.example -keyout broker-key.pem -out broker.pem
signed -subj /CN=gateway -keyout mqtt-key -out gateway.pem
chmod 600 ca-key.pem broker-key.pem mqtt-key
echo gateway:secret >passwords; %s -U passwords
echo gateway >mqtt-user; echo wrong >mqtt-password; chmod 600 passwords mqtt-user mqtt-password
cat >/etc/mosquitto.conf <<END
user root
log_type warning
per_listener_settings true
listener 0 ` + socket + `
allow_anonymous true
listener 8883 127.0.0.1
allow_anonymous false
password_file $PWD/passwords
cafile $PWD/ca.pem
certfile $PWD/broker.pem
keyfile $PWD/broker-key.pem
require_certificate true
END`

// TestSecureBroker publishes as the unit that ships to a broker with TLS, certificates for both sides and passwords,
// with each scheme after the other, and the last lines of a crash.
func TestSecureBroker(t *testing.T) {
	const (
		restart = "systemctl restart service-monitor-mqtt"
		status  = "systemctl show -P StatusText service-monitor-mqtt"
		service = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sh -c 'echo these were my last words; exec sleep infinity'\nRestart=always\nRestartSec=20ms\n"
	)
	b := boot(t, map[string]string{"talks.service": service}, `, "mqtt_gateway": "gw", "mqtt_broker": "mqtts://127.0.0.1:8883", "mqtt_server_name": "broker.example",
"mqtt_ca_file": "/etc/service-monitor/ca.pem", "mqtt_certificate_file": "/etc/service-monitor/gateway.pem", "mqtt_crash_lines": true, "mqtt_scheme": "plain"`)
	passwd, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Fatalf("%v; make deps unpacks it", err)
	}
	b.sh(fmt.Sprintf(certificates, passwd))
	b.sh("systemctl start mosquitto service-monitor service-monitor-mqtt talks")
	b.await("journalctl -q -o cat -u service-monitor-mqtt", "not authorized; put the right user and password")
	b.sh("echo secret >/etc/service-monitor/mqtt-password; " + restart)
	b.await(status, "connected to the broker")
	r := b.record("service-monitor/gw/+/crash")
	b.crash("talks")
	r.await("the black box", func(box string) bool { return strings.Contains(box, `"these were my last words"`) })
	b.wantRetained()

	b.scheme("homeassistant")
	const discovery = "homeassistant/device/gw/talks/config"
	b.awaitRetained(discovery, `"service-monitor/gw/talks.service/state"`)
	b.wantRetained()
	b.publish("-t", discovery, "-r", "-n") // the broker has forgotten it
	b.publish("-t", "homeassistant/status", "-m", "online")
	b.awaitRetained(discovery, `"service-monitor/gw/talks.service/state"`)
	b.scheme("thin-edge")
	b.awaitRetained("te/device/main/service/talks/status/health", `"up"`)
	b.awaitCleared("homeassistant/#")
	b.awaitCleared("service-monitor/#")
	b.scheme("plain")
	b.awaitRetained("service-monitor/gw/talks.service/state", `"crashes":1,`)
	b.awaitCleared("te/#")
}

// publish publishes as another client.
func (b *bed) publish(args ...string) {
	b.t.Helper()
	cmd := exec.Command("mosquitto_pub", append([]string{"--unix", fmt.Sprintf("/proc/%d/root%s", b.Leader(), socket), "-V", "5", "-q", "1"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// scheme chooses a scheme.
func (b *bed) scheme(name string) {
	b.t.Helper()
	b.sh(`sed -i 's/"mqtt_scheme": "[^"]*"/"mqtt_scheme": "` + name + `"/' /etc/service-monitor/config.json; systemctl restart service-monitor-mqtt`)
}

// await waits until a command prints a text.
func (b *bed) await(command, text string) {
	b.t.Helper()
	out := ""
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if out = b.sh(command); strings.Contains(out, text) {
			return
		}
	}
	b.t.Fatalf("%s: got %q, want %q", command, out, text)
}

// awaitCleared waits until nothing is retained any more.
func (b *bed) awaitCleared(filter string) {
	b.t.Helper()
	var all map[string]string
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if all = b.retained(filter); len(all) == 0 {
			return
		}
	}
	b.t.Fatalf("%s: still retained: %v", filter, all)
}
