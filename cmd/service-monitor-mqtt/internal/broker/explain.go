package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"unicode"

	"service-monitor/stages/row"
)

// Explain says in one line what is wrong with a connection, and what to do. The keys that it names are of the
// configuration.
func Explain(err error, s Settings) string {
	e, bad := parse(s.URL)
	if bad != nil {
		return oneLine("mqtt_broker " + bad.Error())
	}
	for _, explain := range []func(error, endpoint, Settings) string{explainFile, explainSocket, explainTLS, explainDial, explainMQTT} {
		if text := explain(err, e, s); text != "" {
			return oneLine(text)
		}
	}
	return oneLine(fmt.Sprintf("%s: %v", where(e), err))
}

// where names the broker as the user has.
func where(e endpoint) string {
	if e.network == "unix" {
		return "the broker at the socket " + row.Quote(e.address)
	}
	return "the broker at " + e.address
}

// oneLine keeps what the other side says from making lines of its own in a log.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func explainFile(err error, _ endpoint, _ Settings) string {
	f, ok := errors.AsType[fileError](err)
	switch {
	case !ok:
		return ""
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("cannot read %s %s: no permission; the user service-monitor-mqtt must be able to read it, "+
			"or, if it is a key, give it as the credential mqtt-key (LoadCredential=)", f.key, f.file)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("cannot read %s %s: there is no such file; correct the name", f.key, f.file)
	case strings.Contains(err.Error(), "ENCRYPTED") || strings.Contains(err.Error(), "failed to parse private key"):
		return fmt.Sprintf("cannot use %s %s: %v; an encrypted key is not supported, decrypt it with openssl pkey", f.key, f.file, f.err)
	}
	return fmt.Sprintf("cannot use %s %s: %v", f.key, f.file, f.err)
}

func explainSocket(err error, e endpoint, _ Settings) string {
	if e.network != "unix" {
		return ""
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fmt.Sprintf("there is no socket %s; does the broker run, and does its configuration have "+
			"\"listener 0 %s\"? mqtt_broker must name the same file", row.Quote(e.address), e.address)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nobody listens at the socket %s; start the broker", row.Quote(e.address))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("no permission for the socket %s; %s", row.Quote(e.address), whoMay(e.address))
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Sprintf("%s is no socket for streams; mqtt_broker must name the broker's", row.Quote(e.address))
	}
	return ""
}

func explainDial(err error, e endpoint, _ Settings) string {
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ok && dns.IsNotFound:
		return fmt.Sprintf("there is no host %s; correct the name in mqtt_broker, or ask why the name server does not know it", row.Quote(e.host))
	case ok:
		return fmt.Sprintf("cannot look up the host %s: %v; is there a network, and a name server in /etc/resolv.conf?", row.Quote(e.host), dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nobody listens at %s; start the broker, or correct host and port in mqtt_broker", e.address)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("there is no route to %s (%v); is the link up? A unit with PrivateNetwork=yes has no network", e.address, errno(err))
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Sprintf("a connection to %s is not allowed (%v); see IPAddressDeny= and RestrictAddressFamilies= of the unit, and the firewall", e.address, errno(err))
	case errors.Is(err, syscall.ETIMEDOUT):
		return fmt.Sprintf("nobody answers at %s; correct host and port in mqtt_broker, or ask the firewall", e.address)
	case errors.Is(err, context.Canceled):
		return fmt.Sprintf("%s: interrupted", where(e))
	}
	return ""
}

func errno(err error) error {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	return err
}
