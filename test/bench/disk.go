package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// ownDisk puts a file system with a journal where contestants have their files, before
// any is started.
//
// What the kernel says that a process has written is what pages it was the first to make
// dirty. Without a journal, as some hosts have ext4, those are also pages of inodes and
// bitmaps, which belong to all that use that disk: the same save was then 1 to 11 pages.
// With one the file system's own thread writes them, and a save is what its file has.
func (s *site) ownDisk(ctx context.Context) error {
	const script = `set -e
PATH=$PATH:/usr/sbin:/sbin
truncate --size=256M "$1"
mkfs.ext4 -q -b 4096 -O has_journal "$1"
device=$(losetup --find --show "$1")
trap 'losetup --detach "$device"' EXIT # once it is unmounted, at the latest with the machine
nsenter --target="$2" --mount -- sh -ec '
	mknod /var/disk b "$1" "$2"
	mkdir -p /var/bench
	mount -t ext4 /var/disk /var/bench' - $(stat --format='0x%t 0x%T' "$device")
`
	image := filepath.Join(s.root, "var/disk.img")
	out, err := exec.CommandContext(ctx, "sh", "-c", script, "-", image, strconv.Itoa(s.Leader())).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot make a disk for the contestants: %w: %s", err, out)
	}
	return os.Remove(image) // the device has it
}
