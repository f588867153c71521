// Command viapolls is a contestant of the bench. It uses SubscribeUnits of go-systemd, which lists all
// units of the system once a second. It writes a line for each change of state that it sees of the
// units in a file.
//
//	viapolls UNITS_FILE LOG_FILE
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	sd "github.com/coreos/go-systemd/v22/dbus"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: viapolls UNITS_FILE LOG_FILE")
	}
	log.Fatal("viapolls: ", run(os.Args[1], os.Args[2]))
}

// run runs until there is an error.
func run(unitsFile, logFile string) error {
	names, err := os.ReadFile(unitsFile)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	states := map[string]string{}
	for _, name := range strings.Fields(string(names)) {
		states[name] = "-"
	}
	conn, err := sd.NewSystemConnectionContext(context.Background())
	if err != nil {
		return err
	}
	isOther := func(name string) bool { return states[name] == "" }
	changed := func(a, b *sd.UnitStatus) bool { return a.ActiveState != b.ActiveState }
	updates, errs := conn.SubscribeUnitsCustomContext(context.Background(), time.Second, 1, changed, isOther)
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return err
	}
	for {
		select {
		case update := <-updates:
			if _, err := out.WriteString(lines(update, states)); err != nil {
				return err
			}
		case err := <-errs:
			return err
		}
	}
}

// lines returns the lines of one poll.
func lines(update map[string]*sd.UnitStatus, states map[string]string) string {
	var text strings.Builder
	for name, status := range update {
		state, sub := "unloaded", "dead"
		if status != nil {
			state, sub = status.ActiveState, status.SubState
		}
		fmt.Fprintf(&text, "%s %s: %s -> %s (SubState: %s)\n", time.Now().Format(time.DateTime), name, states[name], state, sub)
		states[name] = state
	}
	return text.String()
}
