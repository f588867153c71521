package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"service-monitor/stages/row"
)

// companions is how the keys of service-monitor-mqtt begin. Only that program reads them. So a mistake in
// one of them never stops the monitor.
const companions = "mqtt_"

// A Companion is a program that has keys of its own in the file of the monitor.
type Companion struct {
	Rows []row.Row
	// Check says what is wrong with several values together.
	Check func() error
}

func (c *Companion) rows() []row.Row {
	if c == nil {
		return nil
	}
	return c.Rows
}

func (c *Companion) check() error {
	if c == nil {
		return nil
	}
	return c.Check()
}

// isCompanions reports whether a key belongs to a companion that does not read the file now.
func isCompanions(key string, rows []row.Row) bool {
	has := func(name string) bool { return strings.HasPrefix(name, companions) }
	return has(key) && !slices.ContainsFunc(rows, func(r row.Row) bool { return has(r.Key) })
}

// WriteRows writes the part of a companion's help about its keys.
func WriteRows(w io.Writer, rows []row.Row) {
	for _, r := range rows {
		fmt.Fprintf(w, "  %-22s  %s\n", r.Key, r.Line())
	}
}
