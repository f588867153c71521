package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"

	"service-monitor/stages/row"
)

// An endpoint is where a broker listens.
type endpoint struct {
	network string // "tcp" or "unix", as net.Dial has them
	address string // for net.Dial
	host    string // without the port; empty for a socket
	tls     bool
}

// The ports that IANA has given to MQTT.
const (
	portPlain = "1883"
	portTLS   = "8883"
)

// longestSocket is the room that Linux has for the name of a socket (unix(7)).
const longestSocket = 107

const schemes = "mqtt://HOST, mqtts://HOST or unix:///SOCKET"

func checkURL(text string) error {
	_, err := parse(text)
	return err
}

// parse reads the URL of a broker. The text of an error continues after the name of the key.
func parse(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without "parse" and the URL
	}
	switch {
	case text == "":
		return endpoint{}, errors.New("is empty; write " + schemes)
	case strings.Contains(text, "@") && !strings.HasPrefix(text, "unix:///"): // this text must not come into a log
		return endpoint{}, errors.New("must be without user and password, because everybody may read it; " +
			"give them as the credentials mqtt-user and mqtt-password (LoadCredential=)")
	case !strings.Contains(text, "://"):
		return endpoint{}, fmt.Errorf("must begin with mqtt://, mqtts:// or unix://, found %s", row.Quote(text))
	case err != nil:
		return endpoint{}, fmt.Errorf("is no URL (%w); write %s", err, schemes)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return endpoint{}, fmt.Errorf("must be %s without ? and #, found %s", schemes, row.Quote(text))
	}
	switch u.Scheme {
	case "mqtt":
		return remote(u, portPlain, false)
	case "mqtts":
		return remote(u, portTLS, true)
	case "unix":
		return local(u)
	case "tcp":
		err = errors.New("write mqtt:// for tcp://")
	case "ssl", "tls":
		err = fmt.Errorf("write mqtts:// for %s://", u.Scheme)
	case "ws", "wss", "http", "https":
		err = errors.New("MQTT over WebSocket is not supported; use the broker's port for MQTT itself")
	default:
		err = errors.New("write " + schemes)
	}
	return endpoint{}, fmt.Errorf("must begin with mqtt://, mqtts:// or unix://, found %s; %w", row.Quote(text), err)
}

func remote(u *url.URL, port string, tls bool) (endpoint, error) {
	if u.Hostname() == "" {
		return endpoint{}, fmt.Errorf("must name a host, found %s", row.Quote(u.String()))
	}
	if u.Path != "" && u.Path != "/" {
		return endpoint{}, fmt.Errorf("must end after the host and the port, found %s", row.Quote(u.String()))
	}
	if given := u.Port(); given != "" {
		if n, err := strconv.Atoi(given); err != nil || n < 1 || n > 65535 {
			return endpoint{}, fmt.Errorf("must have a port from 1 to 65535, found %s", row.Quote(given))
		}
		port = given
	}
	return endpoint{"tcp", net.JoinHostPort(u.Hostname(), port), u.Hostname(), tls}, nil
}

func local(u *url.URL) (endpoint, error) {
	switch {
	case u.Host != "":
		return endpoint{}, fmt.Errorf("must have three slashes and the full name of the socket, as in unix:///run/mosquitto.sock, found %s", row.Quote(u.String()))
	case u.Path == "" || path.Clean(u.Path) != u.Path || u.Path == "/":
		return endpoint{}, fmt.Errorf("must name a socket, as in unix:///run/mosquitto.sock, found %s", row.Quote(u.String()))
	case len(u.Path) > longestSocket:
		return endpoint{}, fmt.Errorf("names a socket with %d bytes; Linux allows %d", len(u.Path), longestSocket)
	}
	return endpoint{network: "unix", address: u.Path}, nil
}
