//go:build lifecycle

package lifecycle

import "testing"

const (
	mqttUnit   = "service-monitor-mqtt.service"
	mqttCursor = "/var/lib/service-monitor-mqtt"
	mqttMemory = "/run/service-monitor-mqtt"
	mqttSecret = "/etc/service-monitor/mqtt-password"
)

// TestMQTTLife takes one machine through the life of the package service-monitor-mqtt. There is no broker: the
// program waits for one all the time.
func TestMQTTLife(t *testing.T) {
	m := boot(t, nil)
	for _, step := range []struct {
		name string
		run  func(*machine)
	}{
		{"install", (*machine).installMQTT},
		{"credentials", (*machine).credentialsMQTT},
		{"sandbox", (*machine).sandboxMQTT},
		{"upgrade", (*machine).upgradeMQTT},
		{"disable", (*machine).disableMQTT},
		{"remove", (*machine).removeMQTT},
		{"purge", (*machine).purgeMQTT},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(&machine{m.Machine, t}) }) {
			return // each step needs the one before it
		}
	}
}

func (m *machine) installMQTT() {
	m.apt("install service-monitor-mqtt")
	m.wantRunning(older) // the monitor comes with it
	m.wantMQTT("enabled", "active")
	m.want("dpkg --verify service-monitor-mqtt", "")
	m.want("id -nG service-monitor-mqtt; getent passwd service-monitor-mqtt | cut -d: -f6,7", "service-monitor-mqtt service-monitor\n/:/usr/sbin/nologin")
	m.want("stat -c '%a %U:%G' "+mqttCursor+" "+mqttMemory+" | uniq -c | xargs", "2 700 service-monitor-mqtt:service-monitor-mqtt")
	m.want("setpriv --reuid nobody --clear-groups service-monitor-mqtt --version", "service-monitor-mqtt "+older)
}

// wantMQTT wants this of the unit.
func (m *machine) wantMQTT(enabled, active string) {
	m.t.Helper()
	m.want("systemctl is-enabled "+mqttUnit, enabled)
	m.want("systemctl is-active "+mqttUnit, active)
}

// credentialsMQTT wants a secret to reach the program, and nobody else. Without it, there is an empty one.
func (m *machine) credentialsMQTT() {
	passed := func(name string) string {
		return "$(systemctl show -P MainPID " + mqttUnit + ")/root/run/credentials/" + mqttUnit + "/" + name
	}
	m.want("cd /proc; wc -l <"+passed("mqtt-user")+"; cat "+passed("mqtt-user")+" "+passed("mqtt-password")+" "+passed("mqtt-key"), "1")
	m.sh("install -m 600 /dev/null " + mqttSecret + "; echo secret >" + mqttSecret + "; systemctl restart " + mqttUnit)
	m.want("cd /proc; cat "+passed("mqtt-password"), "secret")
	m.want("cd /proc; wc -c <"+passed("mqtt-user"), "1")
	m.want("cd /proc; setpriv --reuid nobody --clear-groups cat "+mqttSecret+" "+passed("mqtt-password")+" 2>/dev/null", "")
}

// upgradeMQTT upgrades both packages together. The cursor stays, also the one in the memory.
func (m *machine) upgradeMQTT() {
	m.sh("touch " + mqttCursor + "/kept " + mqttMemory + "/kept")
	before := m.sh("systemctl show -P InvocationID " + mqttUnit)
	m.publish()
	m.apt("install service-monitor")
	m.wantRunning(newer)
	m.wantMQTT("enabled", "active")
	m.want("dpkg-query -W -f '${Status} ${Version}' service-monitor-mqtt", "install ok installed "+newer)
	m.sh("test -e " + mqttCursor + "/kept -a -e " + mqttMemory + "/kept")
	if m.sh("systemctl show -P InvocationID "+mqttUnit) == before {
		m.t.Errorf("the old program goes on")
	}
}

// disableMQTT disables the unit. It stays disabled over an upgrade, and runs on if it runs.
func (m *machine) disableMQTT() {
	m.sh("systemctl disable --now " + mqttUnit)
	m.apt("install --reinstall service-monitor-mqtt")
	m.wantMQTT("disabled", "inactive")
	m.sh("systemctl start " + mqttUnit)
	m.apt("install --reinstall service-monitor-mqtt")
	m.wantMQTT("disabled", "active")
	m.sh("systemctl enable " + mqttUnit)
}

// removeMQTT removes the package, and installs it again. The monitor goes on, and what the program needs to go on
// stays.
func (m *machine) removeMQTT() {
	monitor := m.sh("systemctl show -P InvocationID " + unit)
	m.apt("remove service-monitor-mqtt")
	m.want("systemctl list-units --plain --no-legend 'service-monitor-mqtt*'; ls /usr/bin/service-monitor-mqtt 2>/dev/null", "")
	m.sh("test -e " + mqttCursor + "/kept -a -e " + mqttMemory + "/kept -a -e " + mqttSecret)
	m.apt("install service-monitor-mqtt")
	m.wantMQTT("enabled", "active")
	m.want("systemctl show -P InvocationID "+unit, monitor)
}

// purgeMQTT purges the package. The monitor stays with its files, and the user stays.
func (m *machine) purgeMQTT() {
	m.apt("purge service-monitor-mqtt")
	m.wantRunning(newer)
	m.wantNothingLeft("*service-monitor-mqtt*")
	m.want("ls /etc/service-monitor", "config.json")
	m.want("getent passwd service-monitor-mqtt | cut -d: -f1,6,7", "service-monitor-mqtt:/:/usr/sbin/nologin")
	m.want("find / /run -xdev -user service-monitor-mqtt", "")
}
