package cursor

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"service-monitor/stages/files"
)

// A volatile is the file on a tmpfs. It has a line with a whole cursor, and then a line for each step.
// So a step is cheap, however many units there are. If the steps take more room than the cursor, the
// file is written anew.
type volatile struct {
	dir  string // of the durable place
	path string // empty if there is no volatile place
	file *os.File
	room int // how many bytes the file may get before it is written anew
	size int
}

// newVolatile returns the file for a durable place. Each durable place has its own one.
func newVolatile(in, dir string) *volatile {
	v := &volatile{dir: dir}
	if in != "" {
		h := fnv.New32a()
		h.Write([]byte(dir))
		v.path = filepath.Join(in, fmt.Sprintf("cursor-%08x", h.Sum32()))
	}
	return v
}

// load reads the file; nil if there is none of this durable place. A line that is incomplete is the
// last one: the program was killed while it wrote.
func (v *volatile) load() (*content, error) {
	if v.path == "" {
		return nil, nil
	}
	b, err := files.Read(v.path, largest)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, b, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.path, err)
	}
	if c.Version != version || c.Dir != v.dir {
		return nil, nil
	}
	for len(b) > 0 {
		step, rest, err := decode(b)
		if err != nil || step.Version != 0 || step.Generation != c.Generation+1 {
			break
		}
		c.add(step)
		b = rest
	}
	return c, nil
}

// add writes a step. whole returns the cursor with it.
func (v *volatile) add(step *content, whole func() *content) error {
	if v.path == "" {
		return nil
	}
	line, err := encode(step)
	if err == nil && v.size+len(line) <= v.room && files.IsAt(v.file, v.path) {
		if _, err = v.file.Write(line); err == nil {
			v.size += len(line)
			return nil
		}
	}
	// After an incomplete line nothing would be read, so this is also for a write that has failed.
	return v.renew(whole())
}

// renew writes the file anew.
func (v *volatile) renew(c *content) error {
	v.close()
	c.Dir = v.dir
	line, err := encode(c)
	if err != nil {
		return err
	}
	temp := v.path + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := files.Open(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	if err = inMemory(f); err == nil {
		_, err = f.Write(line)
	}
	if err == nil {
		err = os.Rename(temp, v.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(temp))
	}
	v.file, v.size, v.room = f, len(line), 2*len(line)+4*block
	return nil
}

// inMemory returns an error for a file that is on a disk. A line for each step would wear out flash.
func inMemory(f *os.File) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: f.Name(), Err: err}
	}
	if kind := uint32(st.Type); kind != unix.TMPFS_MAGIC && kind != unix.RAMFS_MAGIC {
		return fmt.Errorf("%s is not on a tmpfs", filepath.Dir(f.Name()))
	}
	return nil
}

func (v *volatile) close() {
	if v.file != nil {
		v.file.Close()
	}
	v.file, v.room = nil, 0
}
