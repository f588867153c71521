package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"service-monitor/test/bench/proc"
)

// makeDisk makes a file system with a journal, mounts it where a run has its files, and prints
// the name of its device, a loop device of a sparse file. When the machine ends, the kernel
// unmounts it and then detaches the device.
//
// mkfs would leave some of its work to the kernel for later. Here it does all at once, so that
// only what happens to the files is written to the device.
const makeDisk = `set -e
PATH=$PATH:/usr/sbin:/sbin
leader=$1 inside=$2
image=/proc/$leader/root$inside.img
mkdir -p "/proc/$leader/root$inside"
truncate --size=64M "$image"
trap 'rm -f "$image"' EXIT # the device has it
mkfs.ext4 -q -b 4096 -O has_journal -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$image"
device=$(losetup --find --show "$image") || exit 3
trap 'losetup --detach "$device"; rm -f "$image"' EXIT # detached once it is unmounted
nsenter --target="$leader" --mount -- sh -ec '
	mknod "$1.disk" b "$2" "$3"
	mount -t ext4 "$1.disk" "$1"' - "$inside" $(stat --format='0x%t 0x%T' "$device")
basename "$device"
`

// noLoop is the exit code of makeDisk if it gets no loop device.
const noLoop = 3

// ownDisk gives a run a disk of its own, so that only that run causes what reaches the disk.
//
// The kernel counts as written by a process the pages that it was the first to make dirty. If the
// file system has no journal, as on some hosts, these include pages of inodes and bitmaps, which
// all users of the disk share. The same save was then 1 to 11 pages. If it has one, its own
// thread writes these pages, and only the device counts them.
//
// If the kernel gives us no loop device, there are no figures of the device.
func (s *site) ownDisk(r *run) error {
	cmd := exec.Command("sh", "-c", makeDisk, "-", strconv.Itoa(s.Leader()), r.inside)
	// If Ctrl-C interrupted it, a device would stay attached.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	device, err := cmd.Output()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == noLoop {
		fmt.Fprintf(os.Stderr, "bench: what %s writes to a device is not known: %s", r.of.name, &said)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot make a disk for %s: %w: %s", r.of.name, err, &said)
	}
	r.device = string(bytes.TrimSpace(device))
	return nil
}

// sync writes all dirty data to the run's disk.
func (r *run) sync() error {
	if r.device == "" {
		return nil
	}
	dir, err := os.Open(r.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("cannot sync the disk of %s: %w", r.of.name, err)
	}
	return nil
}

// wrote returns how many bytes have been written so far: those in pages of files by the run
// itself, and all that its disk has got.
func (r *run) wrote() (files, device int, err error) {
	_, files = proc.Written(r.Pid)
	if r.device == "" {
		return files, 0, nil
	}
	device, err = proc.Reached(r.device)
	return files, device, err
}
