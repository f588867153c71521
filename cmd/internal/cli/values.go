package cli

import (
	"fmt"
	"strconv"
	"strings"

	"service-monitor/stages/row"
)

// A filePath is the value of a flag: an absolute path.
type filePath string

func (f *filePath) String() string { return string(*f) }
func (f *filePath) Type() string   { return "FILE" }

func (f *filePath) Set(s string) error {
	if strings.HasPrefix(s, "-") {
		return fmt.Errorf("must be followed by a file name, found %s; write ./%s if that is its name", row.Quote(s), s)
	}
	full, err := row.Absolute(s, "")
	*f = filePath(full)
	return err
}

// A word is the value of a flag that takes any text but another flag.
type word struct {
	text *string
	kind string // what the help shows
}

func (w word) String() string { return "" }
func (w word) Type() string   { return w.kind }

func (w word) Set(s string) error {
	if s == "" || strings.HasPrefix(s, "--") {
		return fmt.Errorf("must be followed by a %s, found %s", strings.ToLower(w.kind), row.Quote(s))
	}
	*w.text = s
	return nil
}

// A number is the value of a flag that takes a number from 1 on.
type number struct{ n *int }

func (n number) String() string { return "" }
func (n number) Type() string   { return "N" }

func (n number) Set(s string) error {
	i, err := strconv.Atoi(s)
	if err != nil || i < 1 {
		return fmt.Errorf("must be followed by a number from 1 on, found %s", row.Quote(s))
	}
	*n.n = i
	return nil
}

// A unitList is the value of --services.
type unitList []string

func (u *unitList) String() string { return "" }
func (u *unitList) Type() string   { return "A B C" }

func (u *unitList) Set(s string) error {
	if strings.HasPrefix(s, "-") {
		return fmt.Errorf("must be followed by a unit name, found %s", row.Quote(s))
	}
	*u = append(*u, strings.Split(s, ",")...)
	return nil
}

// A restoreList is the value of a flag that may be followed by units or by nothing.
type restoreList []string

// allUnits is the value of that flag if nothing follows.
const allUnits = "all"

func (u *restoreList) String() string { return "" }
func (u *restoreList) Type() string   { return "[A B C]" }

func (u *restoreList) Set(s string) error {
	if s != allUnits {
		*u = append(*u, strings.Split(s, ",")...)
	}
	return nil
}
