// Command viagodbus is a contestant of the bench. It is what a Go programmer would write first, with
// godbus. Only its signal handler is not the default one, because signals must stay in order. It
// writes a line for each change of state of the units in a file.
//
//	viagodbus UNITS_FILE LOG_FILE
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	unitPath  = "/org/freedesktop/systemd1/unit"
	pathRules = 32
	maxBatch  = 64 << 10
)

// A unit is what is remembered of a unit.
type unit struct {
	name, state, result string
	code, status        int32
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: viagodbus UNITS_FILE LOG_FILE")
	}
	log.Fatal("viagodbus: ", run(os.Args[1], os.Args[2]))
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
	conn, err := dbus.ConnectSystemBus(dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return err
	}
	units := map[dbus.ObjectPath]*unit{}
	for _, name := range strings.Fields(string(names)) {
		units[dbus.ObjectPath(unitPath+"/"+sd.PathBusEscape(name))] = &unit{name: name, state: "-"}
	}
	signals := make(chan *dbus.Signal, 256)
	conn.Signal(signals)
	if err := subscribe(conn, units); err != nil {
		return err
	}
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return err
	}
	return follow(signals, units, out)
}

func subscribe(conn *dbus.Conn, units map[dbus.ObjectPath]*unit) error {
	rule := []dbus.MatchOption{
		dbus.WithMatchSender("org.freedesktop.systemd1"),
		dbus.WithMatchInterface("org.freedesktop.DBus.Properties"), dbus.WithMatchMember("PropertiesChanged"),
	}
	if len(units) > pathRules {
		if err := conn.AddMatchSignal(append(rule, dbus.WithMatchPathNamespace(unitPath))...); err != nil {
			return err
		}
	} else {
		for path := range units {
			if err := conn.AddMatchSignal(append(rule, dbus.WithMatchObjectPath(path))...); err != nil {
				return err
			}
		}
	}
	manager := conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	return manager.Call("org.freedesktop.systemd1.Manager.Subscribe", 0).Err
}

// follow writes the lines of all signals that wait at once.
func follow(signals <-chan *dbus.Signal, units map[dbus.ObjectPath]*unit, out *os.File) error {
	var batch bytes.Buffer
	for s := range signals {
		if u := units[s.Path]; u != nil {
			u.take(s, &batch)
		}
		if len(signals) == 0 || batch.Len() > maxBatch {
			if _, err := out.Write(batch.Bytes()); err != nil {
				return err
			}
			batch.Reset()
		}
	}
	return fmt.Errorf("lost the bus")
}

func (u *unit) take(s *dbus.Signal, batch *bytes.Buffer) {
	if len(s.Body) < 2 {
		return
	}
	of, _ := s.Body[0].(string)
	properties, _ := s.Body[1].(map[string]dbus.Variant)
	switch of {
	case "org.freedesktop.systemd1.Service":
		u.result, _ = properties["Result"].Value().(string)
		u.code, _ = properties["ExecMainCode"].Value().(int32)
		u.status, _ = properties["ExecMainStatus"].Value().(int32)
	case "org.freedesktop.systemd1.Unit":
		state, _ := properties["ActiveState"].Value().(string)
		if state == "" || state == u.state {
			return
		}
		fmt.Fprintf(batch, "%s %s: %s -> %s (SubState: %v, Result: %s, code: %d, status: %d)\n", time.Now().Format(time.DateTime),
			u.name, u.state, state, properties["SubState"].Value(), u.result, u.code, u.status)
		u.state = state
	}
}
