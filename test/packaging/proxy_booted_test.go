//go:build booted

package packaging

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The site in the example is for this name.
const siteName = "gateway.example"

// TestProxy lets Debian's nginx open the page to a network, as the example has it: with TLS and a password.
func TestProxy(t *testing.T) {
	dir := t.TempDir()
	socket := startWeb(t, dir)
	trusted := certificate(t, dir)
	client, base := startNginx(t, dir, socket, trusted)

	for _, tt := range []struct {
		method, path, password string
		code                   int
		text                   string
	}{
		{"GET", "/", "secret", http.StatusOK, "<!doctype html>"},
		{"GET", "/metrics", "secret", http.StatusOK, `service_monitor_unit_crashes_total{name="mosquitto.service"} 1`},
		{"GET", "/api/status", "secret", http.StatusOK, `"mosquitto.service"`},
		{"POST", "/api/status", "secret", http.StatusMethodNotAllowed, ""},
		{"GET", "/", "wrong", http.StatusUnauthorized, ""},
		{"GET", "/metrics", "", http.StatusUnauthorized, ""},
		{"GET", "/events", "", http.StatusUnauthorized, ""},
	} {
		code, body := ask(t, client, tt.method, base+tt.path, tt.password)
		if code != tt.code || !strings.Contains(strings.ToLower(body), tt.text) {
			t.Errorf("%s %s with password %q: %d, want %d and %s:\n%.300s", tt.method, tt.path, tt.password, code, tt.code, tt.text, body)
		}
	}

	// The head of a stream comes at once, although the stream has no end. With HTTP/2, a browser may have many of them.
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	stream, err := http.NewRequestWithContext(ctx, "GET", base+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream.SetBasicAuth("operator", "secret")
	events, err := client.Do(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	if got := events.Header.Get("Content-Type"); events.StatusCode != http.StatusOK || got != "text/event-stream" || events.ProtoMajor != 2 {
		t.Errorf("/events: %d, %s, %s", events.StatusCode, got, events.Proto)
	}
}

func ask(t *testing.T, client *http.Client, method, url, password string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		request.SetBasicAuth("operator", password)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// startWeb starts the program on a Unix socket, with a state file and without a monitor.
func startWeb(t *testing.T, dir string) (socket string) {
	t.Helper()
	state, config := filepath.Join(dir, "state.json"), filepath.Join(dir, "config.json")
	write(t, config, "{}")
	write(t, state, `{"mosquitto.service": {"last_state": "active", "last_change_time": "2025-07-07 10:15:23", `+
		`"starts": 5, "stops": 3, "crashes": 1, "logged_unloaded": false}}`)
	socket = filepath.Join(dir, "web.sock")
	start(t, web.binary, "--listen", socket, "-p", state, "--config", config, "--feed", filepath.Join(dir, "feed"))
	awaitListener(t, "unix", socket)
	return socket
}

// startNginx starts nginx with the site of the example. It returns a client that trusts the site, and where
// the site is. The paths and the port of the example are replaced by those of the test, in which nginx stays
// root.
func startNginx(t *testing.T, dir, socket string, trusted *x509.CertPool) (client *http.Client, base string) {
	t.Helper()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	crypt := strings.TrimSpace(run(t, "openssl", "passwd", "-6", "secret"))
	write(t, filepath.Join(dir, "htpasswd"), "operator:"+crypt+"\n")
	site := read(t, top+"/debian/web/examples/nginx.conf")
	for _, change := range [][2]string{
		{"listen 443 ssl http2;", "listen " + address + " ssl http2;"},
		{"    listen [::]:443 ssl http2;\n", ""},
		{"/etc/ssl/certs/gateway.pem", filepath.Join(dir, "cert.pem")},
		{"/etc/ssl/private/gateway.key", filepath.Join(dir, "key.pem")},
		{"auth_basic_user_file /etc/nginx/service-monitor.htpasswd", "auth_basic_user_file " + filepath.Join(dir, "htpasswd")},
		{"http://unix:/run/service-monitor-web.sock;", "http://unix:" + socket + ";"},
	} {
		if strings.Count(site, change[0]) != 1 {
			t.Fatalf("the example has %q %d times", change[0], strings.Count(site, change[0]))
		}
		site = strings.Replace(site, change[0], change[1], 1)
	}
	write(t, filepath.Join(dir, "site.conf"), site)
	write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf("daemon off;\nuser root;\npid %[1]s/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path %[1]s/body;\nproxy_temp_path %[1]s/proxy;\nfastcgi_temp_path %[1]s/fastcgi;\nuwsgi_temp_path %[1]s/uwsgi;\nscgi_temp_path %[1]s/scgi;\n"+
		"include %[1]s/site.conf;\n}\n", dir))
	start(t, "nginx", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	awaitListener(t, "tcp", address)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: trusted},
		ForceAttemptHTTP2: true, // as a browser does
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: limit}, "https://" + siteName
}

// certificate writes a key and a certificate for the site. It returns who trusts the certificate.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: siteName}, DNSNames: []string{siteName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), string(public))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(public)
	return trusted
}

// start starts a program, and ends it with the test.
func start(t *testing.T, argv ...string) {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; make deps installs what is missing", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		if cmd.Wait(); t.Failed() {
			t.Logf("%s said:\n%s", argv[0], said.String())
		}
	})
}

// awaitListener waits until somebody listens.
func awaitListener(t *testing.T, network, address string) {
	t.Helper()
	for end := time.Now().Add(limit); ; {
		conn, err := net.Dial(network, address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
