package files

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// ErrOwner is returned where root cannot tell whose rights it should work with.
var ErrOwner = errors.New("root does not work there")

// An Owner is the user whose rights root works with.
type Owner struct {
	Name  string // empty for root itself
	Where string // the directory that belongs to that user
	uid   uint32
	gid   uint32
}

// Become gives up root's rights where files belong to another user, for the
// whole process and for good. It does nothing for a process that is not root's.
//
// The owner of a directory can put symbolic links into it, hard links, and at any
// moment something else than what root has just looked at. To become that user
// leaves nothing to check and nothing to race with: whatever the user plants, no
// more can be done than the user can do anyway. What root does then also belongs
// to that user, who runs the monitor otherwise.
func Become(paths ...string) (Owner, error) {
	var owner Owner
	if os.Geteuid() != 0 {
		return owner, nil
	}
	for _, path := range paths {
		w, err := walk(path)
		if err != nil {
			return owner, err
		}
		switch {
		case w.owner.uid == 0:
		case owner.uid == 0:
			owner = w.owner
		case owner.uid != w.owner.uid:
			return owner, fmt.Errorf("%w: %s belongs to user %s, but %s to user %s; let one user have both, or run it as one of them",
				ErrOwner, owner.Where, owner.Name, w.owner.Where, w.owner.Name)
		}
	}
	if owner.uid == 0 {
		return owner, nil
	}
	if err := owner.become(); err != nil {
		return owner, fmt.Errorf("%w: cannot become user %s, to whom %s belongs: %w; run it as that user", ErrOwner, owner.Name, owner.Where, err)
	}
	return owner, nil
}

// become drops everything of root. The user's processes cannot trace this one
// afterwards, because the kernel remembers that it had more rights (prctl(2),
// PR_SET_DUMPABLE).
func (o Owner) become() error {
	gid, groups := int(o.gid), []int{}
	if u, err := user.LookupId(strconv.Itoa(int(o.uid))); err == nil {
		gid = number(u.Gid)
		ids, _ := u.GroupIds() // without them the journal may not be readable, which the monitor says
		for _, id := range ids {
			groups = append(groups, number(id))
		}
	}
	// Those of package syscall change all threads, those of unix only this one.
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return err
	}
	uid := int(o.uid)
	return syscall.Setresuid(uid, uid, uid)
}

func number(id string) int {
	n, _ := strconv.Atoi(id) // package user has checked it
	return n
}

func userName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
