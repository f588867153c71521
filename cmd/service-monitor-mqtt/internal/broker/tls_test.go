package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// An authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().AddDate(-30, 0, 0), NotAfter: time.Now().AddDate(50, 0, 0),
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.file, _ = a.sign("ca", template)
	return a
}

// sign writes a certificate and its key, in PEM.
func (a *authority) sign(name string, c *x509.Certificate) (certificate, key string) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.cert, a.key = c, own
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", raw)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// leaf returns what a certificate says that is valid for a time from now on.
func leaf(from, until time.Duration, names ...string) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, DNSNames: names,
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
}

func (a *authority) pair(name string, c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.sign(name, c))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// listenTLS starts a broker with TLS on the loopback interface and returns its port.
func listenTLS(t *testing.T, config *tls.Config, script func(fake)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			if config == nil {
				script(fake{t, raw})
			} else if conn := tls.Server(raw, config); conn.Handshake() == nil {
				script(fake{t, conn})
				_ = conn.CloseWrite()
			}
			_ = raw.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

const day24 = 24 * time.Hour

func TestTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good := leaf(-time.Hour, day24, "localhost")
	serves := func(c *x509.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.pair("broker", c)}}
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.pair("unused", good).Leaf)
	if data, err := os.ReadFile(ca.file); err != nil || !pool.AppendCertsFromPEM(data) {
		t.Fatal(err)
	}
	mutual := serves(good)
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, pool
	alpn := serves(good)
	alpn.NextProtos = []string{"mqtt"}
	old := serves(good)
	old.MaxVersion = tls.VersionTLS11
	ours, ourKey := ca.sign("client", leaf(-time.Hour, day24))
	theirs, theirKey := stranger.sign("client", leaf(-time.Hour, day24))
	empty := ca.write("empty.pem", "NOTHING", nil)
	accept := func(f fake) {
		if f.read() != nil {
			f.write(&packets.Connack{Properties: &packets.Properties{}})
			f.read()
		}
	}
	for _, tt := range []struct {
		name   string
		config *tls.Config
		change func(*Options)
		want   string // what Explain says, without the port; "" if it connects
		clock  bool
	}{
		{"good", serves(good), nil, "", false},
		{"mutual", mutual, func(o *Options) { o.CertificateFile, o.KeyFile = ours, ourKey }, "", false},
		{"mutual, key of the credentials", mutual, func(o *Options) { o.CertificateFile = ours; o.Key, _ = os.ReadFile(ourKey) }, "", false},
		{"ALPN", alpn, func(o *Options) { o.ALPN = "mqtt" }, "", false},
		{"server name", serves(leaf(-time.Hour, day24, "broker.example")), func(o *Options) { o.ServerName = "broker.example" }, "", false},
		{"wrong name", serves(leaf(-time.Hour, day24, "a", "b")), nil, `the certificate of the broker at localhost is for ["a" "b"] and not for "localhost"; write the right host in mqtt_broker, or its name in mqtt_server_name`, false},
		{"no name", serves(leaf(-time.Hour, day24)), nil, `the certificate of the broker at localhost is for no name at all but the common name "leaf", which does not count and not for "localhost"`, false},
		{"unknown CA", serves(good), func(o *Options) { o.CAFile = "" }, "is signed by nobody whom this machine knows; name the file with the certificate of its CA in mqtt_ca_file", false},
		{"other CA", serves(good), func(o *Options) { o.CAFile = stranger.file }, "is not signed by the CA in mqtt_ca_file", false},
		{"expired", serves(leaf(-2*day24, -day24, "localhost")), nil, "the broker needs a new one", false},
		{"from this afternoon on", serves(leaf(time.Hour, day24, "localhost")), nil, "is not valid before", false},
		{"clock", serves(leaf(2*day24, 3*day24, "localhost")), nil, "the clock is wrong: it says " + day(time.Now()) + ", and the certificate of the broker at localhost is valid from " + day(time.Now().Add(2*day24)) + "; waiting for the clock", true},
		{"no certificate of ours", mutual, nil, `; perhaps it wants a certificate of ours: set mqtt_certificate_file`, false},
		{"wrong certificate of ours", mutual, func(o *Options) { o.CertificateFile, o.KeyFile = theirs, theirKey }, "perhaps it does not accept our certificate", false},
		{"wrong ALPN", alpn, func(o *Options) { o.ALPN = "x" }, "it does not know the protocol in mqtt_alpn", false},
		{"TLS 1.1", old, nil, "it must speak TLS 1.2 or 1.3", false},
		{"no CA file", serves(good), func(o *Options) { o.CAFile = "/none" }, "cannot read mqtt_ca_file /none: there is no such file; correct the name", false},
		{"empty CA file", serves(good), func(o *Options) { o.CAFile = empty }, "there is no certificate in PEM in it", false},
		{"no key", mutual, func(o *Options) { o.CertificateFile = ours }, "its key is missing; set mqtt_key_file, or give the credential mqtt-key", false},
		{"other key", mutual, func(o *Options) { o.CertificateFile, o.KeyFile = ours, theirKey }, "does not go with mqtt_certificate_file", false},
		{"no TLS, MQTT", nil, nil, "does not speak TLS; write mqtt:// in mqtt_broker", false},
		{"TLS without mqtts", serves(good), func(o *Options) { o.URL = strings.Replace(o.URL, "mqtts", "mqtt", 1) }, "speaks TLS", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := listenTLS(t, tt.config, accept)
			o := Options{Settings: Settings{URL: "mqtts://localhost:" + port, CAFile: ca.file}}
			if tt.change != nil {
				tt.change(&o)
			}
			c, err := Connect(t.Context(), o)
			if err == nil {
				c.Close(t.Context())
			}
			got := ""
			if err != nil {
				got = strings.ReplaceAll(Explain(err, o.Settings), ":"+port, "")
			}
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || errors.Is(err, ErrClock) != tt.clock {
				t.Errorf("%v\n%s\nwant %s", err, got, tt.want)
			}
		})
	}
}

// A certificate is replaced while we run.
func TestFilesAreReadAnew(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	port := listenTLS(t, &tls.Config{Certificates: []tls.Certificate{other.pair("broker", leaf(-time.Hour, day24, "localhost"))}},
		func(f fake) { f.accept(packets.Properties{}); f.read() })
	o := Options{Settings: Settings{URL: "mqtts://localhost:" + port, CAFile: ca.file}}
	if _, err := Connect(t.Context(), o); err == nil {
		t.Fatal("connected to a stranger")
	}
	if err := os.Rename(other.file, ca.file); err != nil {
		t.Fatal(err)
	}
	connectTo(t, o)
}
