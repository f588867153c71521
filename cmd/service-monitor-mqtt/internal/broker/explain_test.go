package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestExplain(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, tt := range []struct {
		url  string
		err  error
		want string
	}{
		{"mqtt://h", dial(syscall.ECONNREFUSED), "nobody listens at h:1883; start the broker, or correct host and port in mqtt_broker"},
		{"mqtt://h", dial(syscall.ENETUNREACH), "there is no route to h:1883 (network is unreachable); is the link up? A unit with PrivateNetwork=yes has no network"},
		{"mqtt://h", dial(syscall.EPERM), "a connection to h:1883 is not allowed (operation not permitted); see IPAddressDeny= and RestrictAddressFamilies= of the unit, and the firewall"},
		{"mqtt://h", timeOut("nobody answers", dialTime), "the broker at h:1883: nobody answers within 10 seconds"},
		{"mqtt://h", &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}, `there is no host "h"; correct the name in mqtt_broker, or ask why the name server does not know it`},
		{"mqtt://h", &net.DNSError{Err: "server misbehaving", Name: "h"}, `cannot look up the host "h": server misbehaving; is there a network, and a name server in /etc/resolv.conf?`},
		{"mqtt://h", context.Canceled, "the broker at h:1883: interrupted"},
		{"mqtt://h", fmt.Errorf("two\nlines"), "the broker at h:1883: two?lines"},
		{"h", nil, `mqtt_broker must begin with mqtt://, mqtts:// or unix://, found "h"`},
		{"mqtts://h", fileError{"mqtt_key_file", "/k", syscall.EACCES}, "cannot read mqtt_key_file /k: no permission; the user service-monitor-mqtt must be able to read it, or, if it is a key, give it as the credential mqtt-key (LoadCredential=)"},
		{"unix:///s", dial(syscall.EACCES), `no permission for the socket "/s"; the user service-monitor-mqtt must be able to enter the directory /`},
	} {
		if got := Explain(tt.err, Settings{URL: tt.url}); got != tt.want {
			t.Errorf("%v:\n%s\nwant\n%s", tt.err, got, tt.want)
		}
	}
}

// What the kernel says of a real socket.
func TestExplainSocket(t *testing.T) {
	dir := t.TempDir()
	left, file := filepath.Join(dir, "left"), filepath.Join(dir, "file")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ socket, want string }{
		{filepath.Join(dir, "none"), "there is no socket "},
		{left, "nobody listens at the socket "},
		{file, "nobody listens at the socket "},
	} {
		s := Settings{URL: "unix://" + tt.socket}
		_, err := Connect(t.Context(), Options{Settings: s})
		if got := Explain(err, s); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %v: %s", tt.socket, err, got)
		}
	}
	if err := os.Chmod(left, 0o660); err != nil {
		t.Fatal(err)
	}
	if got := whoMay(left); !strings.Contains(got, "may use it: set SupplementaryGroups=") {
		t.Error(got)
	}
	if err := os.Chmod(left, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := whoMay(left); !strings.HasPrefix(got, "its mode is 0600") {
		t.Error(got)
	}
}
