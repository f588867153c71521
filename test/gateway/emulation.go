package gateway

import (
	"debug/elf"
	"fmt"
	"path/filepath"
	"runtime"
)

// slowness is how much longer than on this host a machine may take that is
// emulated: a boot takes 3 s, and 8 s while others do.
const slowness = 4

// unemulated is a drop-in of all services, which turns off what qemu-user cannot
// do: clone(2) with a new namespace, by which systemd sets up a service's
// credentials and its user namespace, and the netlink and the file descriptors
// of the others. Of Debian's own services, those of sysusers.d(5) and
// tmpfiles.d(5) would not start. A drop-in of one service can turn it on again.
//
// Filters of system calls are not emulated either, but systemd does without
// them in silence: SystemCallFilter=, MemoryDenyWriteExecute= and most of
// Restrict...= forbid nothing.
const unemulated = `[Service]
LoadCredential=
LoadCredentialEncrypted=
SetCredential=
SetCredentialEncrypted=
PrivateIPC=no
PrivateNetwork=no
PrivateUsers=no
`

// Architecture is that of the programs of a system, as a GOARCH: of a tree, or
// of this host if that is empty. One that is not the host's is emulated by
// qemu-user, if the kernel's binfmt_misc is told of it.
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
