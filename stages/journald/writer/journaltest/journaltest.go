// Package journaltest is a journald for tests.
package journaltest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A Journald receives entries in the native protocol. It reads only when Read is called.
type Journald struct {
	// Path is the path of its socket.
	Path string

	t      testing.TB
	socket int
}

// Start returns a journald that runs until the test ends.
func Start(t testing.TB) *Journald {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // a short name: the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	j := &Journald{Path: filepath.Join(dir, "socket"), t: t}
	j.listen()
	t.Cleanup(func() {
		j.Stop()
		os.RemoveAll(dir)
	})
	return j
}

func (j *Journald) listen() {
	j.t.Helper()
	var err error
	if j.socket, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		j.t.Fatal(err)
	}
	if err := unix.Bind(j.socket, &unix.SockaddrUnix{Name: j.Path}); err != nil {
		j.t.Fatal(err)
	}
}

// Stop closes the socket. Entries that were not read are lost.
func (j *Journald) Stop() {
	unix.Close(j.socket)
	os.Remove(j.Path)
}

// Restart opens the socket again after Stop.
func (j *Journald) Restart() {
	j.t.Helper()
	j.listen()
}

// Read returns the fields of each entry that has come.
func (j *Journald) Read() (entries []map[string]string) {
	j.t.Helper()
	b := make([]byte, 1<<20)
	for {
		n, err := unix.Read(j.socket, b)
		switch err {
		case nil:
			entries = append(entries, j.parse(b[:n]))
		case unix.EAGAIN:
			return entries
		default:
			j.t.Fatal(err)
		}
	}
}

// parse decodes an entry (systemd.io/JOURNAL_NATIVE_PROTOCOL).
func (j *Journald) parse(b []byte) map[string]string {
	j.t.Helper()
	entry := make(map[string]string)
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		key, value, short := bytes.Cut(line, []byte{'='})
		if !short && ok && len(rest) >= 8 {
			n := binary.LittleEndian.Uint64(rest)
			rest = rest[8:]
			if ok = n < uint64(len(rest)) && rest[n] == '\n'; ok {
				value, rest = rest[:n], rest[n+1:]
			}
		}
		_, twice := entry[string(key)]
		if !ok || twice || !validKey(key) {
			j.t.Fatalf("malformed entry at %q", b)
		}
		entry[string(key)], b = string(value), rest
	}
	return entry
}

// validKey reports whether journald accepts a field of this name from a client.
func validKey(key []byte) bool {
	if len(key) == 0 || len(key) > 64 || key[0] < 'A' || key[0] > 'Z' {
		return false
	}
	for _, c := range key {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
