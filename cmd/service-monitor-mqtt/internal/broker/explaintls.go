package broker

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

func explainTLS(err error, e endpoint, s Settings) string {
	if text := explainCertificate(err, e, s); text != "" {
		return text
	}
	_, handshake := errors.AsType[handshakeError](err)
	_, garbage := errors.AsType[tls.RecordHeaderError](err)
	remote, _ := errors.AsType[*net.OpError](err)
	switch {
	case remote != nil && remote.Op == "remote error":
		return explainAlert(remote.Err, e, s)
	case garbage || handshake && ended(err):
		return fmt.Sprintf("the other side at %s does not speak TLS; write mqtt:// in mqtt_broker, or the port for TLS, which is mostly %s", e.address, portTLS)
	case errors.Is(err, errSpeaksTLS):
		return fmt.Sprintf("the other side at %s speaks TLS; write mqtts:// in mqtt_broker", e.address)
	case handshake:
		return fmt.Sprintf("%s: %v", where(e), err)
	}
	return ""
}

func explainCertificate(err error, e endpoint, s Settings) string {
	who := where(e)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	wrongName, isWrongName := errors.AsType[x509.HostnameError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	now := time.Now()
	switch {
	case errors.Is(err, ErrClock) && isInvalid:
		return fmt.Sprintf("the clock is wrong: it says %s, and the certificate of %s is valid from %s; waiting for the clock "+
			"(systemd-timesyncd, chrony, gpsd or hwclock sets it)", day(now), who, day(invalid.Cert.NotBefore))
	case isInvalid && invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("the certificate of %s is not valid before %s, and the clock says that this is still to come", who, instant(invalid.Cert.NotBefore))
	case isInvalid && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s was valid until %s, and the clock says %s; the broker needs a new one", who, day(invalid.Cert.NotAfter), day(now))
	case isWrongName:
		return fmt.Sprintf("the certificate of %s is for %s and not for %q; write the right host in mqtt_broker, or its name in mqtt_server_name",
			who, names(wrongName.Certificate), cmp.Or(s.ServerName, e.host))
	case isUnknown && s.CAFile == "":
		return fmt.Sprintf("the certificate of %s is signed by nobody whom this machine knows; name the file with the certificate of its CA in mqtt_ca_file", who)
	case isUnknown:
		return fmt.Sprintf("the certificate of %s is not signed by the CA in mqtt_ca_file %s; name the file with the certificate of its CA", who, s.CAFile)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("the certificate of %s is not accepted: %v", who, err)
	}
	return ""
}

// explainAlert explains what the broker says of our side. With TLS 1.3 it comes after the handshake.
func explainAlert(alert error, e endpoint, s Settings) string {
	advice := certificateAdvice(s)
	switch alert.Error() {
	case "tls: no application protocol":
		advice = "; it does not know the protocol in mqtt_alpn"
	case "tls: unrecognized name":
		advice = "; it does not know the name in mqtt_server_name or mqtt_broker"
	case "tls: protocol version not supported", "tls: handshake failure":
		advice = "; it must speak TLS 1.2 or 1.3 with a cipher that is safe" + advice
	}
	return fmt.Sprintf("%s ends TLS with %q%s", where(e), alert.Error(), advice)
}

func certificateAdvice(s Settings) string {
	if s.CertificateFile == "" {
		return "; perhaps it wants a certificate of ours: set mqtt_certificate_file and mqtt_key_file"
	}
	return fmt.Sprintf("; perhaps it does not accept our certificate, mqtt_certificate_file %s", s.CertificateFile)
}

func names(c *x509.Certificate) string {
	var all []string
	all = append(all, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0 && c.Subject.CommonName != "": // which counts no more since RFC 6125
		return fmt.Sprintf("no name at all but the common name %q, which does not count", c.Subject.CommonName)
	case len(all) == 0:
		return "no name at all"
	case len(all) > 3:
		return fmt.Sprintf("%q and %d more names", all[:3], len(all)-3)
	}
	return fmt.Sprintf("%q", all)
}

func day(t time.Time) string     { return t.UTC().Format("2006-01-02") }
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
