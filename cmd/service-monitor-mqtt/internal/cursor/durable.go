package cursor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

// block is what a disk writes at least.
const block = 4096

// A durable is the file on flash. It has two slots of the same size, each with a line and then zeros.
// They are written alternately: while one is written, the other has the save before. The whole file is
// written once when it is made, so a save changes blocks of the file and neither its size nor where it
// lies on the disk. A temporary file and a rename for each save cost 17 times as much.
type durable struct {
	path    string
	file    *os.File // nil if it must be written anew
	slot    int      // the size of a slot
	newest  int      // the slot with the last save, 0 or 1
	written *files.Meter
	sync    func(fd int) error // fdatasync(2)
}

// save writes a line. When it returns without an error, the line is on the disk. Otherwise the line
// before is. It returns how many bytes reach the device in any case.
func (d *durable) save(line []byte) (cost int, err error) {
	if d.file == nil || len(line) > d.slot || !files.IsAt(d.file, d.path) {
		return d.renew(line)
	}
	other := 1 - d.newest
	n, err := d.file.WriteAt(padded(line), int64(other*d.slot))
	if n > 0 {
		cost = n + perSave
	}
	if d.written.Add(n); err != nil {
		return cost, err
	}
	// If this fails, the next attempt is in the same slot. The other one stays.
	if err := d.sync(int(d.file.Fd())); err != nil {
		return cost, &fs.PathError{Op: "sync", Path: d.path, Err: err}
	}
	d.newest = other
	return cost, nil
}

// padded returns a line with zeros up to the end of its last block.
func padded(line []byte) []byte {
	return append(line, make([]byte, blocks(len(line))-len(line))...)
}

// blocks returns how many bytes the blocks for n bytes have.
func blocks(n int) int { return (n + block - 1) / block * block }

// renew makes the file anew, and writes a line to its first slot. The counts of the units get more
// digits, and there will be more units, so a slot has room for a quarter more.
func (d *durable) renew(line []byte) (cost int, err error) {
	temp := d.path + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	f, err := files.Open(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return 0, err
	}
	slot := blocks(len(line) + len(line)/4)
	n, err := f.Write(append(line, make([]byte, 2*slot-len(line))...))
	if n > 0 {
		cost = n + perFile
	}
	if d.written.Add(n); err == nil {
		err = d.sync(int(f.Fd()))
	}
	if err == nil {
		err = os.Rename(temp, d.path)
	}
	if err != nil {
		return cost, errors.Join(err, f.Close(), os.Remove(temp))
	}
	d.close()
	if err := d.syncDir(); err != nil { // the name may be lost, so the next save makes it again
		return cost, errors.Join(err, f.Close())
	}
	d.file, d.slot, d.newest = f, slot, 0
	return cost, nil
}

func (d *durable) syncDir() error {
	dir, err := os.Open(filepath.Dir(d.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func (d *durable) close() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

func fdatasync(fd int) error { return unix.Fdatasync(fd) }
