package broker

import (
	"fmt"
	"time"

	"service-monitor/stages/row"
)

// DefaultURL is a broker on the gateway itself.
const DefaultURL = "mqtt://localhost:1883"

// Settings are what the user can choose about the connection.
type Settings struct {
	URL string
	// The names of PEM files are empty if the user names none. The files are read for each connection,
	// because certificates are replaced while we run.
	CAFile, CertificateFile, KeyFile string
	// ServerName is the name that the broker's certificate must have; empty for the one in URL.
	ServerName string
	ALPN       string
	// KeepAlive is how long nothing may be sent. Then we ping.
	KeepAlive time.Duration
}

// Rows returns the rows of the keys. They put their values into s.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "mqtt_broker", Help: "broker",
			Value: row.Text{Target: &s.URL, Default: DefaultURL, Example: DefaultURL, Check: checkURL}},
		{Key: "mqtt_ca_file", Help: "who may sign the broker's certificate", Value: pemFile(&s.CAFile)},
		{Key: "mqtt_certificate_file", Help: "our own certificate", Value: pemFile(&s.CertificateFile)},
		{Key: "mqtt_key_file", Help: "key of our own certificate", Value: pemFile(&s.KeyFile)},
		{Key: "mqtt_server_name", Help: "name in the broker's certificate",
			Value: row.Text{Target: &s.ServerName, Example: "broker.example", Check: checkServerName}},
		{Key: "mqtt_alpn", Help: "protocol that is asked for in TLS",
			Value: row.Text{Target: &s.ALPN, Example: "mqtt", Check: checkALPN}},
		{Key: "mqtt_keepalive", Help: "of silence before a ping", Value: row.Duration{
			Target: &s.KeepAlive, Step: time.Second, Default: time.Minute, Least: 10 * time.Second, Most: 65535 * time.Second}},
	}
}

// Check returns an error if the values do not fit together. Somebody who sets a key of TLS believes that
// the connection is encrypted.
func (s *Settings) Check() error {
	e, err := parse(s.URL)
	if err != nil {
		return fmt.Errorf("mqtt_broker %w", err)
	}
	for _, k := range s.tlsKeys() {
		if *k.value != "" && !e.tls {
			return fmt.Errorf("%s is set, but mqtt_broker is %s, which has no TLS; write mqtts://HOST, or remove %s",
				k.key, row.Quote(s.URL), k.key)
		}
	}
	if s.KeyFile != "" && s.CertificateFile == "" {
		return fmt.Errorf("mqtt_key_file is set, but mqtt_certificate_file is not; name the certificate of the key too")
	}
	return nil
}

func (s *Settings) tlsKeys() []struct {
	key   string
	value *string
} {
	return []struct {
		key   string
		value *string
	}{
		{"mqtt_ca_file", &s.CAFile},
		{"mqtt_certificate_file", &s.CertificateFile},
		{"mqtt_key_file", &s.KeyFile},
		{"mqtt_server_name", &s.ServerName},
		{"mqtt_alpn", &s.ALPN},
	}
}
