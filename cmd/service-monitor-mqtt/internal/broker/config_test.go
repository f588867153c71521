package broker

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func defaults() *Settings {
	s := &Settings{}
	for _, r := range s.Rows() {
		r.Value.Reset()
	}
	return s
}

func TestDefaults(t *testing.T) {
	want := &Settings{URL: "mqtt://localhost:1883", KeepAlive: time.Minute}
	if d := cmp.Diff(want, defaults()); d != "" || want.Check() != nil {
		t.Errorf("(-want +got):\n%s%v", d, want.Check())
	}
}

func TestURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want endpoint
		err  string
	}{
		{"mqtt://h", endpoint{"tcp", "h:1883", "h", false}, ""},
		{"mqtts://h/", endpoint{"tcp", "h:8883", "h", true}, ""},
		{"mqtts://192.0.2.1:99", endpoint{"tcp", "192.0.2.1:99", "192.0.2.1", true}, ""},
		{"mqtt://[2001:db8::1]", endpoint{"tcp", "[2001:db8::1]:1883", "2001:db8::1", false}, ""},
		{"unix:///run/m.sock", endpoint{"unix", "/run/m.sock", "", false}, ""},
		{"", endpoint{}, "is empty; write mqtt://HOST, mqtts://HOST or unix:///SOCKET"},
		{"h:1883", endpoint{}, `must begin with mqtt://, mqtts:// or unix://, found "h:1883"`},
		{"tcp://h", endpoint{}, `must begin with mqtt://, mqtts:// or unix://, found "tcp://h"; write mqtt:// for tcp://`},
		{"ssl://h", endpoint{}, `must begin with mqtt://, mqtts:// or unix://, found "ssl://h"; write mqtts:// for ssl://`},
		{"wss://h", endpoint{}, `must begin with mqtt://, mqtts:// or unix://, found "wss://h"; MQTT over WebSocket is not supported; use the broker's port for MQTT itself`},
		{"mqtt://", endpoint{}, `must name a host, found "mqtt:"`},
		{"mqtt://u:secret@h", endpoint{}, "must be without user and password, because everybody may read it; give them as the credentials mqtt-user and mqtt-password (LoadCredential=)"},
		{"u:secret@h:1883", endpoint{}, "must be without user and password, because everybody may read it; give them as the credentials mqtt-user and mqtt-password (LoadCredential=)"},
		{"unix://u:secret@h/s", endpoint{}, "must be without user and password, because everybody may read it; give them as the credentials mqtt-user and mqtt-password (LoadCredential=)"},
		{"mqtt://u:se/cret@h", endpoint{}, "must be without user and password, because everybody may read it; give them as the credentials mqtt-user and mqtt-password (LoadCredential=)"},
		{"mqtt://h:x", endpoint{}, `is no URL (invalid port ":x" after host); write mqtt://HOST, mqtts://HOST or unix:///SOCKET`},
		{"mqtt://h:0", endpoint{}, `must have a port from 1 to 65535, found "0"`},
		{"mqtt://h:65536", endpoint{}, `must have a port from 1 to 65535, found "65536"`},
		{"mqtt://h/topic", endpoint{}, `must end after the host and the port, found "mqtt://h/topic"`},
		{"mqtt://h?x=1", endpoint{}, `must be mqtt://HOST, mqtts://HOST or unix:///SOCKET without ? and #, found "mqtt://h?x=1"`},
		{"unix://run/m.sock", endpoint{}, `must have three slashes and the full name of the socket, as in unix:///run/mosquitto.sock, found "unix://run/m.sock"`},
		{"unix:///run/", endpoint{}, `must name a socket, as in unix:///run/mosquitto.sock, found "unix:///run/"`},
		{"unix:///" + strings.Repeat("s", 107), endpoint{}, "names a socket with 108 bytes; Linux allows 107"},
	} {
		got, err := parse(tt.url)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s: %+v, %v", tt.url, got, err)
		}
	}
}

func TestValues(t *testing.T) {
	for _, tt := range []struct{ key, raw, want string }{
		{"mqtt_broker", `"mqtts://h"`, ""},
		{"mqtt_broker", `1883`, `must be a string such as "mqtt://localhost:1883", found the number 1883`},
		{"mqtt_broker", `"x"`, `must begin with mqtt://, mqtts:// or unix://, found "x"`},
		{"mqtt_ca_file", `"/etc/ca.pem"`, ""},
		{"mqtt_ca_file", `""`, ""},
		{"mqtt_ca_file", `"ca.pem"`, `must be a full name that begins with /, found "ca.pem"`},
		{"mqtt_key_file", `"/etc/"`, `"/etc/" is a directory; name a file in it`},
		{"mqtt_certificate_file", `"/etc/../c"`, `must be a plain name such as "/c", found "/etc/../c"`},
		{"mqtt_server_name", `"broker.example"`, ""},
		{"mqtt_server_name", `"https://h"`, `must be the name of a host without a port, found "https://h"`},
		{"mqtt_alpn", `"x-amzn-mqtt-ca"`, ""},
		{"mqtt_alpn", `["mqtt"]`, `must be a string such as "mqtt", found a list`},
		{"mqtt_keepalive", `10`, ""},
		{"mqtt_keepalive", `9`, "must be from 10 to 65535 seconds, found the number 9"},
		{"mqtt_keepalive", `65536`, "must be from 10 to 65535 seconds, found the number 65536"},
	} {
		s := defaults()
		for _, r := range s.Rows() {
			if r.Key != tt.key {
				continue
			}
			err := r.Value.Set([]byte(tt.raw))
			if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
				t.Errorf("%s %s: %v", tt.key, tt.raw, err)
			}
			var text string
			if json.Unmarshal([]byte(tt.raw), &text) == nil && err == nil && r.Value.Get() != text {
				t.Errorf("%s %s: %v", tt.key, tt.raw, r.Value.Get())
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Settings)
		want   string
	}{
		{"CA", func(s *Settings) { s.CAFile = "/ca" }, `mqtt_ca_file is set, but mqtt_broker is "mqtt://localhost:1883", which has no TLS; write mqtts://HOST, or remove mqtt_ca_file`},
		{"ALPN with a socket", func(s *Settings) { s.URL, s.ALPN = "unix:///s", "mqtt" }, `mqtt_alpn is set, but mqtt_broker is "unix:///s", which has no TLS; write mqtts://HOST, or remove mqtt_alpn`},
		{"all", func(s *Settings) { s.URL, s.CAFile, s.CertificateFile, s.KeyFile = "mqtts://h", "/ca", "/c", "/k" }, ""},
		{"key alone", func(s *Settings) { s.URL, s.KeyFile = "mqtts://h", "/k" }, "mqtt_key_file is set, but mqtt_certificate_file is not; name the certificate of the key too"},
		{"URL", func(s *Settings) { s.URL = "" }, "mqtt_broker is empty; write mqtt://HOST, mqtts://HOST or unix:///SOCKET"},
	} {
		s := defaults()
		tt.change(s)
		if err := s.Check(); (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	if c, err := ReadCredentials(dir); err != nil || c.User != nil || c.Password != nil || c.Key != nil {
		t.Error(c, err)
	}
	if _, err := ReadCredentials(""); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"mqtt-user": "u\n", "mqtt-password": " p \n\n", "mqtt-key": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	want := Credentials{User: []byte("u"), Password: []byte(" p \n")}
	got, err := ReadCredentials(dir)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	key := filepath.Join(dir, "mqtt-key")
	if err := errors.Join(os.Remove(key), os.Mkdir(key, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCredentials(dir); err == nil || !strings.Contains(err.Error(), "cannot read the credential mqtt-key: ") {
		t.Error(err)
	}
}
