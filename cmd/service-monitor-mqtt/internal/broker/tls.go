package broker

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// ErrClock is the error while the clock of this machine is wrong. It becomes right at some time, and the
// caller should try again. A board without a clock of its own boots in 1970.
var ErrClock = errors.New("the broker's certificate is not valid yet: waiting for the clock")

// clockSlack is how much earlier than now a certificate may begin to be valid, for another reason than our
// clock: somebody made it for tomorrow.
const clockSlack = 24 * time.Hour

// A fileError is about a file of the configuration.
type fileError struct {
	key, file string
	err       error
}

func (e fileError) Error() string { return fmt.Sprintf("%s %s: %v", e.key, e.file, e.err) }
func (e fileError) Unwrap() error { return e.err }

// secure does the handshake of TLS. It always verifies the broker.
func secure(ctx context.Context, raw net.Conn, host string, o Options) (net.Conn, error) {
	config, err := tlsConfig(host, o)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	err = conn.HandshakeContext(ctx)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		if invalid.Cert.NotBefore.After(time.Now().Add(clockSlack)) {
			return nil, fmt.Errorf("%w (%w)", ErrClock, err)
		}
	}
	if err != nil {
		return nil, handshakeError{err}
	}
	return conn, nil
}

// A handshakeError is one of TLS before MQTT has begun.
type handshakeError struct{ error }

func (e handshakeError) Error() string { return "TLS: " + e.error.Error() }
func (e handshakeError) Unwrap() error { return e.error }

// tlsConfig reads the files anew.
func tlsConfig(host string, o Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(o.ServerName, host)}
	if o.ALPN != "" {
		config.NextProtos = []string{o.ALPN}
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		config.RootCAs = x509.NewCertPool()
		if err == nil && !config.RootCAs.AppendCertsFromPEM(pem) {
			err = errors.New("there is no certificate in PEM in it")
		}
		if err != nil {
			return nil, fileError{"mqtt_ca_file", o.CAFile, withoutPath(err)}
		}
	}
	if o.CertificateFile == "" {
		return config, nil
	}
	own, err := ownCertificate(o)
	// Go would keep the certificate back if the broker names other CAs, or one above an intermediate CA that is
	// not in the file. The broker may decide, and says why.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	return config, err
}

func ownCertificate(o Options) (tls.Certificate, error) {
	certificate, err := os.ReadFile(o.CertificateFile)
	if err != nil {
		return tls.Certificate{}, fileError{"mqtt_certificate_file", o.CertificateFile, withoutPath(err)}
	}
	key, from := o.Key, fileError{key: "the credential", file: "mqtt-key"}
	if o.KeyFile != "" {
		from = fileError{key: "mqtt_key_file", file: o.KeyFile}
		if key, err = os.ReadFile(o.KeyFile); err != nil {
			from.err = withoutPath(err)
			return tls.Certificate{}, from
		}
	}
	if len(key) == 0 {
		return tls.Certificate{}, fileError{"mqtt_certificate_file", o.CertificateFile,
			errors.New("its key is missing; set mqtt_key_file, or give the credential mqtt-key")}
	}
	own, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		from.err = fmt.Errorf("does not go with mqtt_certificate_file %s: %w", o.CertificateFile, err)
		return own, from
	}
	return own, nil
}

// withoutPath removes the name of the file, which the message has already.
func withoutPath(err error) error {
	if pathError, ok := errors.AsType[*os.PathError](err); ok {
		return pathError.Err
	}
	return err
}
