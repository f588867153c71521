// Package row describes the keys of the configuration file, one row for each key.
// A stage brings the rows of its own keys. The parser, the error messages, the help,
// the test of the manual and the reload are all made from the rows: a new key is one
// row, the use of its value, and its paragraph in service-monitor(5).
package row

import "strings"

// A Row is one key.
type Row struct {
	Key string
	// Flag is the command line flag that wins over the key, without its dashes; empty if
	// there is none.
	Flag string
	// Help continues after Value.MeasuredIn: "seconds" and then "between summary lines".
	Help string
	// Reload is true if a reload takes a new value. Any other key is read at start only.
	Reload bool
	Value  Value
}

// A Value knows what may be written in the file, and where it goes.
type Value interface {
	// Kind is the type and the range as the manual shows them: "seconds, 0 to 31536000".
	Kind() string
	// MeasuredIn is the unit of measurement. The help begins with it. It is empty if there is none.
	MeasuredIn() string
	// DefaultText is the default value as the help and the manual show it.
	DefaultText() string
	// Reset puts the default into the target.
	Reset()
	// Set puts a JSON value into the target. After an error the target is as it was.
	// The text of an error continues after the name of the key.
	Set(raw []byte) error
	// Get returns what the target has now.
	Get() any
}

// Line returns the line about the key in the help. If a flag wins over the key, the help of
// the flag shows the default.
func (r Row) Line() string {
	text := strings.TrimSpace(r.Value.MeasuredIn() + " " + r.Help)
	if r.Flag == "" {
		return text + " (default " + r.Value.DefaultText() + ")"
	}
	if text == "" {
		return "as --" + r.Flag
	}
	return "as --" + r.Flag + ": " + text
}
