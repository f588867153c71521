package broker

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"service-monitor/stages/row"
)

func pemFile(target *string) row.Text {
	return row.Text{Target: target, Example: "/etc/service-monitor/mqtt.pem", Check: checkFile}
}

// checkFile wants full names. A relative name would need a directory that it starts in, and there is none
// that everybody would think of.
func checkFile(name string) error {
	full, err := row.Absolute(name, "")
	if err == nil && !filepath.IsAbs(name) {
		err = fmt.Errorf("must be a full name that begins with /, found %s", row.Quote(name))
	}
	if err == nil && full != name {
		err = fmt.Errorf("must be a plain name such as %s, found %s", row.Quote(full), row.Quote(name))
	}
	return err
}

func checkServerName(name string) error {
	if name == "" || len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool {
		return !(r == '-' || r == '.' || r == ':' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}) {
		return fmt.Errorf("must be the name of a host without a port, found %s", row.Quote(name))
	}
	return nil
}

func checkALPN(protocol string) error {
	if protocol == "" {
		return errors.New(`is empty; name a protocol such as "mqtt", or remove the key`)
	}
	if len(protocol) > 255 { // its length is one byte in TLS
		return fmt.Errorf("has %d bytes; TLS allows 255", len(protocol))
	}
	return nil
}
