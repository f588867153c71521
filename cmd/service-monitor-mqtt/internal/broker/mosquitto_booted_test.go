//go:build booted

package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/test/servers"
)

// A mosquitto is Debian's broker.
type mosquitto struct {
	*servers.Mosquitto
	t      *testing.T
	socket string
	port   string
}

// newMosquitto starts a broker with a socket and a port on the loopback interface. config is added to its
// configuration, and belongs to the port.
func newMosquitto(t *testing.T, config string) *mosquitto {
	t.Helper()
	m := &mosquitto{t: t, port: servers.FreePort(t), socket: filepath.Join(t.TempDir(), "s")}
	m.Mosquitto = servers.StartMosquitto(t, fmt.Sprintf("per_listener_settings true\nlistener 0 %s\nallow_anonymous true\nlistener %s 127.0.0.1\n%s\n",
		m.socket, m.port, config))
	return m
}

func (m *mosquitto) local() Settings {
	return Settings{URL: "unix://" + m.socket, KeepAlive: time.Minute}
}

func (m *mosquitto) remote(scheme string) Settings {
	return Settings{URL: scheme + "://localhost:" + m.port, KeepAlive: time.Minute}
}

// A recorder hears all messages below a topic.
func (m *mosquitto) recorder(filter string) <-chan topics.Message {
	heard := make(chan topics.Message, 5000)
	connectTo(m.t, Options{Settings: m.local(), ClientID: "recorder", Subscribe: []string{filter},
		Heard: func(msg topics.Message) { heard <- msg }})
	return heard
}

func publish(t *testing.T, c *Conn, messages ...topics.Message) {
	t.Helper()
	if acked, err := c.Publish(t.Context(), messages); acked != len(messages) || err != nil {
		t.Fatalf("acked %d of %d: %v", acked, len(messages), err)
	}
}

func want(t *testing.T, heard <-chan topics.Message, topic, payload string, retain bool) {
	t.Helper()
	select {
	case m := <-heard:
		if m.Topic != topic || string(m.Payload) != payload || m.Retain != retain {
			t.Errorf("heard %s %q %v, want %s %q %v", m.Topic, m.Payload, m.Retain, topic, payload, retain)
		}
	case <-time.After(5 * time.Minute):
		t.Fatalf("heard nothing, want %s %q", topic, payload)
	}
}

// State is retained, and the will comes if the connection is cut, but not after Close.
func TestMosquittoWill(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	o := Options{ClientID: "gateway", Will: topics.Message{Topic: "g/status", Payload: []byte("offline"), Retain: true}}
	for _, o.Settings = range []Settings{m.local(), m.remote("mqtt")} {
		c := connectTo(t, o)
		publish(t, c, topics.Message{Topic: "g/status", Payload: []byte("online"), Retain: true})
		heard := m.recorder("g/#")
		want(t, heard, "g/status", "online", true)
		_ = c.wire.Conn.Close()
		want(t, heard, "g/status", "offline", false)
		<-c.Done()

		c = connectTo(t, o)
		publish(t, c, topics.Message{Topic: "g/status", Payload: []byte("online"), Retain: true})
		want(t, heard, "g/status", "online", false)
		c.Close(t.Context())
		c = connectTo(t, o)
		publish(t, c, topics.Message{Topic: "g/status", Retain: true}) // no will before it
		want(t, heard, "g/status", "", false)
		late, cancel := context.WithCancel(t.Context())
		cancel()
		c.Close(late) // there is no time to take leave
		want(t, heard, "g/status", "offline", false)
	}
}

func TestMosquittoPassword(t *testing.T) {
	dir := t.TempDir()
	// mosquitto_passwd -b writes this: the password of u is p.
	file := filepath.Join(dir, "passwords")
	if err := os.WriteFile(file, []byte("u:p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(passwd(t), "-U", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := newMosquitto(t, "allow_anonymous false\npassword_file "+file)
	for _, tt := range []struct {
		name string
		c    Credentials
		want string
	}{
		{"right", Credentials{User: []byte("u"), Password: []byte("p")}, ""},
		{"wrong", Credentials{User: []byte("u"), Password: []byte("x")}, "not authorized"},
		{"other user", Credentials{User: []byte("v"), Password: []byte("p")}, "not authorized"},
		{"none", Credentials{}, "not authorized"},
	} {
		o := Options{Settings: m.remote("mqtt"), Credentials: tt.c, ClientID: "gateway"}
		c, err := Connect(t.Context(), o)
		if err == nil {
			c.Close(t.Context())
		}
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(Explain(err, o.Settings), tt.want+"; put the right user and password") {
			t.Errorf("%s: %v: %s", tt.name, err, Explain(err, o.Settings))
		}
	}
}

// passwd returns mosquitto_passwd, which is beside the other programs.
func passwd(t *testing.T) string {
	t.Helper()
	file, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Fatalf("%v; make deps gets Debian's mosquitto", err)
	}
	return file
}

func TestMosquittoTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	cert, key := ca.sign("broker", leaf(-time.Hour, day24, "localhost"))
	ours, ourKey := ca.sign("client", leaf(-time.Hour, day24))
	theirs, theirKey := stranger.sign("client", leaf(-time.Hour, day24))
	m := newMosquitto(t, fmt.Sprintf("cafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\nallow_anonymous true", ca.file, cert, key))
	s := m.remote("mqtts")
	s.CAFile = ca.file
	for _, tt := range []struct {
		name   string
		change func(*Settings)
		want   string
	}{
		{"good", func(s *Settings) { s.CertificateFile, s.KeyFile = ours, ourKey }, ""},
		{"no certificate", func(s *Settings) {}, "perhaps it wants a certificate of ours: set mqtt_certificate_file"},
		{"other certificate", func(s *Settings) { s.CertificateFile, s.KeyFile = theirs, theirKey }, "perhaps it does not accept our certificate"},
		{"other CA", func(s *Settings) { s.CAFile = stranger.file }, "is not signed by the CA in mqtt_ca_file"},
		{"no TLS", func(s *Settings) { s.URL = "mqtt://localhost:" + m.port }, "perhaps it speaks TLS at this port (mqtts://)"},
	} {
		s := s
		tt.change(&s)
		c, err := Connect(t.Context(), Options{Settings: s, ClientID: "gateway"})
		if err == nil {
			publish(t, c, numbered(100)...)
			c.Close(t.Context())
		}
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(Explain(err, s), tt.want) {
			t.Errorf("%s: %v: %s", tt.name, err, Explain(err, s))
		}
	}

	plain := newMosquitto(t, "allow_anonymous true")
	s.URL = "mqtts://localhost:" + plain.port
	_, err := Connect(t.Context(), Options{Settings: s})
	if got := Explain(err, s); !strings.Contains(got, "does not speak TLS; write mqtt://") {
		t.Errorf("%v: %s", err, got)
	}
}

func TestMosquittoRestart(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	o := Options{Settings: m.remote("mqtt"), ClientID: "gateway"}
	c := connectTo(t, o)
	publish(t, c, numbered(1)...)
	m.Stop(syscall.SIGTERM)
	<-c.Done()
	if err := c.Err(); !errors.Is(err, errClosed) { // mosquitto 2.0 does not say why
		t.Error(err)
	}
	if _, err := Connect(t.Context(), o); !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(Explain(err, o.Settings), "nobody listens at localhost:") {
		t.Errorf("%v: %s", err, Explain(err, o.Settings))
	}
	m.Start()
	publish(t, connectTo(t, o), numbered(1)...)
}

// The second client with a name takes the place of the first. mosquitto 2.0 does not say so.
func TestMosquittoTakenOver(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	o := Options{Settings: m.local(), ClientID: "gateway"}
	first := connectTo(t, o)
	connectTo(t, o)
	<-first.Done()
	if got := Explain(first.Err(), o.Settings); !strings.Contains(got, "or another client has connected with the same client identifier") {
		t.Error(got)
	}
}

// All messages arrive in order, though the broker takes few at once.
func TestMosquittoOrder(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true\nmax_inflight_messages 10\nmax_queued_messages 2000")
	heard := m.recorder("t/#")
	for _, s := range []Settings{m.remote("mqtt"), m.local()} {
		c := connectTo(t, Options{Settings: s, ClientID: "gateway"})
		publish(t, c, numbered(1000)...)
		for _, n := range numbered(1000) {
			want(t, heard, n.Topic, string(n.Payload), false)
		}
		t.Logf("the broker takes %d messages at once", c.limits.window)
		c.Close(t.Context())
	}
}

// A broker that hangs is noticed by its time-out, and not before.
func TestMosquittoHangs(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true")
	c := connectTo(t, Options{Settings: m.remote("mqtt"), ClientID: "gateway"})
	if err := m.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	acked, err := c.Publish(t.Context(), numbered(3))
	if took := time.Since(began); acked != 0 || !errors.Is(err, errSilent) || took < ackTime {
		t.Errorf("acked %d after %v: %v", acked, took, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	_, err = Connect(ctx, Options{Settings: m.remote("mqtt"), ClientID: "gateway"})
	if err == nil || !strings.Contains(err.Error(), "takes the connection and does not answer") {
		t.Error(err)
	}
}
