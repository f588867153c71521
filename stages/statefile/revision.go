package statefile

import (
	"bytes"
	"io"
	"os"
	"slices"

	"service-monitor/stages/files"
)

// A revision receives the new content of the state file. Flash wears out, so it creates
// the new file only when the content begins to differ from that of the old file.
type revision struct {
	old  *os.File // nil if there is no old file
	read []byte   // buffer for what is read from the old file
	same int64    // how many bytes are the same in both, from the beginning
	temp string   // name of the new file
	new  *os.File // nil as long as there is no difference

	written *files.Meter
}

func (r *revision) Write(b []byte) (int, error) {
	if r.new == nil {
		if r.oldHas(b) {
			r.same += int64(len(b))
			return len(b), nil
		}
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	return r.add(b)
}

// add writes to the new file.
func (r *revision) add(b []byte) (int, error) {
	n, err := r.new.Write(b)
	r.written.Add(n)
	return n, err
}

func (r *revision) oldHas(b []byte) bool {
	r.read = slices.Grow(r.read[:0], len(b))[:len(b)]
	n, _ := r.old.ReadAt(r.read, r.same)
	return n == len(b) && bytes.Equal(r.read, b)
}

// begin creates the new file and copies what is the same from the old one.
func (r *revision) begin() (err error) {
	if r.new, err = create(r.temp); err == nil && r.same > 0 {
		err = copyTo(writer(r.add), io.NewSectionReader(r.old, 0, r.same))
	}
	return err
}

// end is called after the last write. If there is a new file, it is on the disk then.
func (r *revision) end() error {
	if r.new == nil {
		var more [1]byte
		if n, err := r.old.ReadAt(more[:], r.same); n == 0 && err == io.EOF {
			return nil
		}
		if err := r.begin(); err != nil {
			return err
		}
	}
	return r.new.Sync()
}

// close closes the files. It removes the new file unless that has become the state file.
func (r *revision) close() {
	r.old.Close()
	if r.new != nil {
		r.new.Close()
		os.Remove(r.temp)
	}
}

// create makes a new file. It removes the file of an earlier attempt first: that may belong
// to another user, for example if root ran the monitor once.
func create(path string) (*os.File, error) {
	os.Remove(path)
	return files.Open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// A writer is a function that writes.
type writer func(b []byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// copyTo copies with read(2) and write(2). By itself os.File would use
// copy_file_range(2), which some sandboxes and file systems refuse.
func copyTo(w io.Writer, r io.Reader) error {
	_, err := io.Copy(struct{ io.Writer }{w}, r)
	return err
}
