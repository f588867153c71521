package tell

import (
	"encoding/hex"
	"fmt"
	"io"
)

// writeCommands writes commands. They are never cut, because people copy them.
func (y *Why) writeCommands(w io.Writer, s Screen, name string, commands []string) {
	if len(commands) == 0 {
		return
	}
	fmt.Fprintln(w)
	s.line(w, "  "+name)
	for _, command := range commands {
		fmt.Fprintln(w, "    "+s.printable(command))
	}
}

// further returns commands that tell more.
func (y *Why) further() (commands []string) {
	c, unit := y.chosen(), word(y.Unit.Unit)
	switch b := y.box(c); {
	case b != nil && b.Core > 0:
		commands = append(commands, fmt.Sprintf("coredumpctl info %d", b.Core))
	case c != nil && c.Result == "core-dump":
		commands = append(commands, "coredumpctl info "+unit)
	}
	if c != nil && c.Invocation != [16]byte{} {
		commands = append(commands, "journalctl _SYSTEMD_INVOCATION_ID="+hex.EncodeToString(c.Invocation[:]))
	} else {
		commands = append(commands, "journalctl -u "+unit)
	}
	return append(commands, "systemctl status "+unit, "service-monitor history "+unit)
}

// mended returns the commands that start a unit again that is down for good. Without reset-failed, the
// start limit may refuse the start.
func (y *Why) mended() []string {
	unit := word(y.Unit.Unit)
	switch h := y.Status.health(y.Unit); {
	case h == GaveUp:
		return []string{"systemctl reset-failed " + unit, "systemctl start " + unit}
	case y.Unit.waitsForEver(): // a start would wait, too
		return []string{"systemctl restart " + unit}
	case h == Failed && !isQueued(y.Unit.current()):
		return []string{"systemctl start " + unit}
	}
	return nil
}
