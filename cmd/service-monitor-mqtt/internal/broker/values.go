package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"service-monitor/stages/row"
)

// text is a string that has a check of its own. It implements row.Value.
type text struct {
	target   *string
	standard string
	want     string // what a value of another kind should have been
	check    func(string) error
}

func (t text) Kind() string       { return "a string" }
func (t text) MeasuredIn() string { return "" }
func (t text) Reset()             { *t.target = t.standard }
func (t text) Get() any           { return *t.target }

func (t text) DefaultText() string {
	if t.standard == "" {
		return "none"
	}
	return t.standard
}

func (t text) Set(raw []byte) error {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return row.Wrong(t.want, raw)
	}
	if s != t.standard {
		if err := t.check(s); err != nil {
			return err
		}
	}
	*t.target = s
	return nil
}

func pemFile(target *string) text {
	return text{target, "", `a file name such as "/etc/service-monitor/mqtt.pem"`, checkFile}
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
