package ask

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/decode"
)

// Why puts into y how the unit is, and what the history has of it. It reads the history twice: what was
// near a crash is known only when the crash is.
func Why(c config.Config, unit string, y *tell.Why) (err error) {
	y.Status, err = Status(c, func(name string) bool { return name == unit })
	if err != nil {
		return err
	}
	if len(y.Status.Units) == 0 {
		return NoSuchUnit(c, unit)
	}
	y.Unit = &tell.Unit{Tally: y.Status.Units[0].Tally}
	history := chronicle.Beside(c.State.File)
	if err := readAll(history, y.Add); err != nil {
		return err
	}
	y.CatchUp()
	if err := readAll(history, y.Near); err != nil {
		return err
	}
	if y.Unit.Life.Known() && y.Unit.State != decode.NotLoaded {
		Planner{}.addTo([]*tell.Unit{y.Unit})
	}
	y.Uptime = y.Status.Availability(y.Unit)
	y.Boxes, err = blackbox.Read(blackbox.Beside(history), unit)
	return err
}

// readAll reads the history, if there is one.
func readAll(history string, add func(r *store.Record)) error {
	_, err := store.Read(history, func(r *store.Record) bool { add(r); return true })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ErrNotFound is the error for a service that the monitor does not have, and for a crash that the history
// does not have.
var ErrNotFound = errors.New("there is no such thing")

// NoSuch says what was not found. errors.Is takes it for ErrNotFound.
type NoSuch struct{ Words error }

// Error returns the words.
func (n NoSuch) Error() string { return n.Words.Error() }

// Is reports whether target is ErrNotFound.
func (NoSuch) Is(target error) bool { return target == ErrNotFound }

// NoSuchUnit returns the error for a name of which there is no unit.
func NoSuchUnit(c config.Config, name string) error {
	s, err := Status(c, func(string) bool { return true })
	if err != nil {
		return err
	}
	return NoSuch{Words: fmt.Errorf("none of the monitored services is called %s; %s", config.Show(name), Meant(name, s.Names()))}
}

// NoSuchCrash returns the error for a crash that the history does not have.
func NoSuchCrash(y *tell.Why) error {
	return NoSuch{Words: fmt.Errorf("the history has no crash %d of %s; service-monitor history %[2]s --crashes lists them", y.Number, config.Show(y.Unit.Unit))}
}

// Meant says which unit was probably meant. All have the same suffix, so that counts for nothing.
func Meant(name string, units []string) string {
	var names []string
	for _, u := range units {
		names = append(names, strings.TrimSuffix(u, ".service"))
	}
	if better := config.Nearest(strings.TrimSuffix(name, ".service"), names); better != "" {
		return fmt.Sprintf("did you mean %s?", config.Show(better))
	}
	return "service-monitor status lists them all"
}
