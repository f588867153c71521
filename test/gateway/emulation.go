package gateway

import (
	"debug/elf"
	"fmt"
	"path/filepath"
	"runtime"
)

// slowness is how many times longer an emulated machine may take than one of this host's
// architecture. An emulated boot takes 3 s, or 8 s while other machines boot.
const slowness = 4

// unemulated is a drop-in for all services. It turns off the settings that qemu-user cannot
// emulate. Some need clone(2) with a new namespace, with which systemd sets up credentials
// and the user namespace of a service. Others need netlink or certain file descriptors. With
// them, the services for sysusers.d(5) and tmpfiles.d(5) would not start. A drop-in of one
// service can turn a setting on again.
//
// Filters of system calls are not emulated either, but systemd silently does without them:
// SystemCallFilter=, MemoryDenyWriteExecute= and most of Restrict...= forbid nothing.
const unemulated = `[Service]
LoadCredential=
LoadCredentialEncrypted=
SetCredential=
SetCredentialEncrypted=
PrivateIPC=no
PrivateNetwork=no
PrivateUsers=no
`

// Architecture returns the architecture of the programs in a tree as a GOARCH. An empty tree
// means this host. qemu-user emulates another architecture if it is registered in the
// kernel's binfmt_misc.
func Architecture(system string) (string, error) {
	if system == "" {
		return runtime.GOARCH, nil
	}
	program := filepath.Join(system, "usr/lib/systemd/systemd")
	f, err := elf.Open(program)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	switch f.Machine {
	case elf.EM_386:
		return "386", nil
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	case elf.EM_ARM:
		return "arm", nil
	}
	return "", fmt.Errorf("%s is for a machine that is not known here: %v", program, f.Machine)
}
