//go:build lifecycle

package lifecycle

// sandboxMQTT wants the unit to be closed, as far as it can be with a network, and with the drop-in for a broker
// on a Unix socket as far as the others are.
func (m *machine) sandboxMQTT() {
	const (
		directory = "/etc/systemd/system/" + mqttUnit + ".d"
		example   = "/usr/share/doc/service-monitor-mqtt/examples/local-broker.conf"
		ours      = "ns=/proc/$(systemctl show -P MainPID " + mqttUnit + ")/ns/net; [ $(readlink $ns) = $(readlink /proc/1/ns/net) ] && echo the machine || echo its own"
	)
	later := m.wantVerified(mqttUnit)
	m.wantExposed(mqttUnit, 1.5)
	m.wantConfined(mqttUnit, []string{"mnt", "user", "uts"}, later)
	m.want(ours, "the machine")

	m.sh("groupadd --system mosquitto; mkdir " + directory + "; cp " + example + " " + directory + "; systemctl daemon-reload; systemctl restart " + mqttUnit)
	m.wantMQTT("enabled", "active")
	m.wantVerified(mqttUnit)
	m.wantExposed(mqttUnit, 0.2)
	m.wantConfined(mqttUnit, []string{"mnt", "net", "user", "uts"}, later)
	m.want(ours, "its own")
	m.want("grep -wc $(getent group mosquitto | cut -d: -f3) /proc/$(systemctl show -P MainPID "+mqttUnit+")/status", "1")
	m.sh("rm -r " + directory + "; systemctl daemon-reload; systemctl restart " + mqttUnit)
}
