package cli

import (
	"fmt"
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
