package packaging

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// topicsSource has the sources of what is published.
const topicsSource = top + "/cmd/service-monitor-mqtt/internal/topics/"

// TestMQTTKeys wants each key of the publisher in its manual, with the same default, and no other. The
// manual of the file says that they are not of the monitor.
func TestMQTTKeys(t *testing.T) {
	_, list, _ := strings.Cut(mqtt.help(t), "\nKeys of the configuration file")
	list, _, _ = strings.Cut(list, "\n\n")
	text := plain(chapter(t, read(t, mqtt.manual), "KEYS"))
	wantSame(t, "keys", find(list, `(?m)^  (mqtt_[a-z_]+)  `), find(text, `(?m)^\.TP\n\.BR (mqtt_[a-z_]+) `))
	for _, word := range find(list, `(?m)^  mqtt_.* \((?:default )?(\d+|[a-z ]+|mqtt://\S+)\)$`) {
		if !strings.Contains(text, "Default: "+word+".") {
			t.Errorf("no key has the default %s", word)
		}
	}
	if !strings.Contains(plain(read(t, fileManual)), "\nKeys that begin with\n.B mqtt_\nbelong to\n.BR service-monitor-mqtt (8).\n") {
		t.Error("service-monitor(5) does not say whose keys begin with mqtt_")
	}
}

// TestMQTTTopics wants the topics that the source lists in the manual, and all short keys.
func TestMQTTTopics(t *testing.T) {
	text := plain(chapter(t, read(t, mqtt.manual), "TOPICS"))
	topics := find(read(t, topicsSource+"doc.go"), `(?m)^//\t(service-monitor/\S+)`)
	wantSame(t, "topics", topics, find(text, `(?m)^\.I (service-monitor/GATEWAY/\S+)`))
	keys := regexp.MustCompile(`(?m)^\t\{"([a-z_]+)", "([a-z]+)", `).FindAllStringSubmatch(read(t, topicsSource+"compact.go"), -1)
	if len(keys) == 0 {
		t.Fatal("the source has no short keys")
	}
	var want []string
	for _, key := range keys {
		want = append(want, key[2]+" "+key[1])
	}
	slices.Sort(want)
	_, table, _ := strings.Cut(text, "\n.nf\n")
	table, _, _ = strings.Cut(table, "\n.fi\n")
	wantSame(t, "short keys", want, find(regexp.MustCompile(` +`).ReplaceAllString(table, " "), `\b([a-z]+ [a-z_]+)(?: |\n|$)`))
}

// TestMQTTExamples wants the payloads and the keys that the manual shows to be JSON.
func TestMQTTExamples(t *testing.T) {
	text := strings.ReplaceAll(plain(read(t, mqtt.manual)), `\(aq`, "'")
	seen := 0
	for _, example := range regexp.MustCompile(`(?s)\n\.EX\n(.+?)\n\.EE\n`).FindAllStringSubmatch(text, -1) {
		object := regexp.MustCompile(`, \.\.\.|\.\.\. `).ReplaceAllString(example[1], "")
		switch {
		case strings.HasPrefix(object, `"mqtt_`):
			object = "{" + object + "}"
		case !strings.HasPrefix(object, "{"):
			continue
		}
		if seen++; !json.Valid([]byte(object)) {
			t.Errorf("this is no JSON: %s", object)
		}
	}
	if seen < 8 {
		t.Errorf("only %d examples are JSON", seen)
	}
}

// TestMQTTUnit wants the unit to hand over the credentials that the manual names. Without a default, a missing
// file would keep the unit from starting.
func TestMQTTUnit(t *testing.T) {
	unit := read(t, top+"/systemd/service-monitor-mqtt.service")
	manual := plain(read(t, mqtt.manual))
	names := find(unit, `(?m)^LoadCredential=([a-z-]+):/etc/service-monitor/`)
	wantSame(t, "credentials", find(manual, `\b(mqtt-(?:user|password|key))\b`), names)
	wantSame(t, "defaults", names, find(unit, `(?m)^SetCredential=([a-z-]+):\\n$`))
	for _, name := range names {
		if !strings.Contains(read(t, top+"/debian/mqtt/postrm"), "/etc/service-monitor/"+name+`"`) {
			t.Errorf("a purge leaves %s", name)
		}
	}
}
