package cursor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

// largest is how large a file may be. With 5,000 units it has half a megabyte.
const largest = 32 << 20

// unreadable lists the errors of a file with bad blocks. A lack of permission is none of them.
var unreadable = []error{unix.EIO, unix.EUCLEAN, unix.EBADMSG, files.ErrTooLarge}

// load reads the file; nil if there is none, or if it has no cursor. Notes say what is wrong.
func (d *durable) load() (c *content, notes []error, err error) {
	b, err := files.Read(d.path, largest)
	switch is := func(target error) bool { return errors.Is(err, target) }; {
	case is(fs.ErrNotExist):
		return nil, nil, nil
	case err != nil && !slices.ContainsFunc(unreadable, is):
		return nil, nil, err
	case err != nil:
		note, err := d.keepAside(err)
		return nil, []error{note}, err
	}
	half := len(b) / 2
	whole := half > 0 && len(b)%(2*block) == 0
	c, torn, err := d.newer(b[:half], b[half:])
	if err != nil {
		return nil, nil, err
	}
	if c == nil || !whole {
		note, err := d.keepAside(errDamaged)
		return c, []error{note}, err
	}
	if torn {
		notes = append(notes, fmt.Errorf("%s: the last save is incomplete; going on from the one before", d.path))
	}
	d.slot = half
	d.file, err = files.Open(d.path, os.O_RDWR, 0)
	return c, notes, err
}

// newer returns the newer one of two slots. It reports whether the other one has what cannot be read.
func (d *durable) newer(slots ...[]byte) (newest *content, torn bool, err error) {
	for i, b := range slots {
		c, _, err := decode(b)
		switch {
		case errors.Is(err, ErrNewer):
			return nil, false, fmt.Errorf("%s: %w", d.path, err)
		case err == nil && c.Version == version:
			if newest == nil || c.Generation > newest.Generation {
				newest, d.newest = c, i
			}
		default:
			torn = torn || len(bytes.Trim(b, "\x00")) > 0
		}
	}
	return newest, torn, nil
}

// keepAside keeps a damaged file for people to look at.
func (d *durable) keepAside(damage error) (note, err error) {
	aside := d.path + ".corrupt-" + time.Now().Format("20060102-150405.000")
	if err := os.Rename(d.path, aside); err != nil {
		return nil, fmt.Errorf("%s: %w; cannot keep it aside: %w", d.path, damage, err)
	}
	return fmt.Errorf("%s: %w; kept as %s", d.path, damage, aside), nil
}
