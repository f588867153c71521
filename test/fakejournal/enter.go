package fakejournal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	asInside  = "SERVICE_MONITOR_TEST_INSIDE"  // set in the process with its own /run
	toJournal = "SERVICE_MONITOR_TEST_JOURNAL" // the socket that our journalctl asks
)

// Enter is called at the beginning of TestMain. It goes on in a mount namespace of its own with an
// empty /run, because journald's socket has a fixed path and this machine may have one there. What is
// mounted in it is gone when its last process has ended. The test binary is also the journalctl that
// the monitor runs.
func Enter() {
	if filepath.Base(os.Args[0]) == "journalctl" {
		exit(journalctl())
	}
	if os.Getenv(asInside) == "" {
		exit(inside())
	}
	// Go has made all mounts private when it left the old namespace.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		exit(fmt.Errorf("cannot mount a /run of our own: %w", err))
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		exit(err)
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// inside runs this very command in a mount namespace of its own.
func inside() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // Pdeathsig is sent when this thread ends
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), asInside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot enter a mount namespace, which needs root: %w", err)
	}
	return cmd.Wait() // the process has printed what failed
}

// journalctl passes its arguments to the journal of the test, and prints the answer.
func journalctl() error {
	conn, err := net.Dial("unix", os.Getenv(toJournal))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(os.Args[1:]); err != nil {
		return err
	}
	b := make([]byte, 64<<10)
	for {
		n, err := conn.Read(b)
		text, fails := strings.CutSuffix(string(b[:n]), broken)
		if _, err := os.Stdout.WriteString(text); err != nil {
			return err
		}
		switch {
		case fails:
			return errors.New("input/output error")
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
