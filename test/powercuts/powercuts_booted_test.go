//go:build booted

// Package powercuts cuts the power of a monitor whose units crash in loops. After each cut its files
// have to be undamaged, and the next start has to bring them together with what has happened. The
// monitor is the program that ships, between a fake bus and a fake journal. Its disk is an image of an
// ext4, of which a copy is taken at once. The tests need root, to mount it. A publisher has its cursor on
// the same disk, and a broker has to get all events, before the cuts or after.
package powercuts

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/chronicle"
	"service-monitor/test/fakejournal"
)

// usual is how many cuts there are if nobody wants more or fewer.
const usual = 40

var (
	cuts = flag.Int("cuts", usual, "how often the power is cut")
	seed = flag.Uint64("seed", 0, "of what happens, and when the power is cut; 0 for another one each time")
)

const (
	// perLife is how many cuts one running monitor gets. Each is the cut of another machine: the
	// monitor goes on.
	perLife = 8
	// lives is how many monitors follow each other on a disk. Then there is a new disk.
	lives = 4
	// crowd is how many units there are. Each has a few records of its own before they are folded.
	crowd = 24
	// pulse is how often something happens to one of them.
	pulse = 2 * time.Millisecond
	// longest is how long a cut waits for its moment.
	longest = 800 * time.Millisecond
	// briefly is how long most saves take.
	briefly = 3 * time.Millisecond
	// goodbye is how long a publisher takes to end.
	goodbye = 20 * time.Millisecond
)

func TestMain(m *testing.M) {
	fakejournal.Enter()
	m.Run()
}

// TestPowerCuts lets monitors live on a disk one after the other. Each begins with what one of the cuts
// of its predecessor has left: either with that, or with what the check of it has made of that.
func TestPowerCuts(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-args -seed=%d does the same again, as far as the kernel does", *seed)
	build(t)
	makeShelf(t)
	began, done, met := time.Now(), 0, map[string]int{}
	var next *cut
	for number := 0; done < *cuts && !t.Failed(); number++ {
		if number%lives == 0 {
			next = newDisk(t)
		}
		n := min(perLife, *cuts-done)
		done += n
		rng := rand.New(rand.NewPCG(*seed, uint64(number)))
		t.Run(fmt.Sprint("life ", number+1), func(t *testing.T) { next = live(t, next, n, rng, met) })
	}
	took := time.Since(began)
	t.Logf("%d cuts in %v, %.1f in a second", done, took.Round(time.Second), float64(done)/took.Seconds())
	for _, what := range slices.Sorted(maps.Keys(met)) {
		t.Logf("%5d %s", met[what], what)
	}
	for _, what := range []string{told, cursors, history, boxes} {
		if done >= usual && !t.Failed() && met[what] == 0 {
			t.Errorf("there were no %s, so nothing was tested there", what)
		}
	}
}

// live runs a monitor on a disk, cuts its power some times, and checks what each cut has left. It
// returns a disk for the next monitor.
func live(t *testing.T, from *cut, n int, rng *rand.Rand, met map[string]int) *cut {
	s := startSystemd(t, from.world, rng.Uint64())
	if from.raw {
		s.restart()
	}
	all := cutAll(t, s, from, n, rng, met)
	chosen := all[rng.IntN(n)]
	next := &cut{image: shelf + "/next", raw: rng.IntN(2) == 0}
	before := from
	for _, c := range all {
		if c == chosen && next.raw {
			next.world, next.published = c.world, c.published
			duplicate(t, c.image, next.image)
		}
		c.check(t, s, before, met)
		if c == chosen && !next.raw {
			next.world, next.published = s.now(), c.published
			duplicate(t, c.image, next.image)
		}
		if err := os.Remove(c.image); err != nil {
			t.Error(err)
		}
		before = c
	}
	next.inDoubt = chosen.inDoubt
	next.state, next.told, next.boxed = chosen.state, chosen.told, chosen.boxed
	return next
}

// cutAll starts a monitor on a disk, and cuts its power n times.
func cutAll(t *testing.T, s *systemd, from *cut, n int, rng *rand.Rand, met map[string]int) (all []*cut) {
	const image = shelf + "/live"
	if err := os.Rename(from.image, image); err != nil {
		t.Fatal(err)
	}
	mount(t, image, power)
	b := startBroker(t, from.published)
	m := startMonitor(t, s, b, power, time.Duration(80+rng.IntN(170))*time.Millisecond)
	var last atomic.Uint64 // that the feed has told
	last.Store(from.told)
	begin := func() bool { return m.ready() && m.listen(&last) }
	isNew := len(from.world.journal) == 0
	if isNew && !begin() { // before that, nobody knows what has happened on this machine
		t.FailNow()
	}
	memory := t.TempDir()
	p := startPublisher(m, power, memory)
	over, rests := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(rests)
		if isNew || begin() {
			s.run(over)
		}
	}()
	for i := range n {
		awaitMoment(t, rng, i == n-1 || rng.IntN(4) == 0)
		c := &cut{name: fmt.Sprint("cut ", i+1), image: fmt.Sprint(shelf, "/cut-", i+1), told: last.Load()}
		for what, pattern := range map[string]string{saving: stateFile + ".tmp", making: chronicle.Beside(stateFile) + "/*.new"} {
			if found, _ := filepath.Glob(power + pattern); len(found) > 0 {
				met[what]++
			}
		}
		end := []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL}[rng.IntN(3)]
		certain, _ := b.published()
		if p.signal(end); end == syscall.SIGTERM {
			<-time.After(time.Duration(rng.Int64N(int64(goodbye))))
		}
		duplicate(t, image, c.image)
		c.world = s.now() // a moment later, so no less has happened in it
		c.published = b.acknowledged()
		c.inDoubt = slices.Concat(from.inDoubt, c.published[len(certain):])
		if all = append(all, c); end != 0 {
			p.wait()
			p = startPublisher(m, power, memory)
		}
	}
	close(over)
	<-rests
	m.kill()
	p.signal(syscall.SIGKILL)
	p.wait()
	b.stop()
	unmount(t, power, unix.MNT_DETACH) // a child that the monitor has just begun may not be journalctl yet
	if err := os.Remove(image); err != nil {
		t.Error(err)
	}
	return all
}

// awaitMoment waits for the moment of a cut. That is any moment, or one soon after the monitor has begun
// a file, so that it is in a save or makes a segment of the chronicle. With flush, the kernel writes
// meanwhile what is in its memory, as it does twice a minute.
func awaitMoment(t *testing.T, rng *rand.Rand, flush bool) {
	t.Helper()
	wait := time.Duration(rng.Int64N(int64(longest)))
	if flush {
		<-time.After(wait / 2)
		command(t, "sync", "--file-system", power)
	}
	if rng.IntN(2) == 0 {
		<-time.After(wait)
		return
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, dir := range []string{filepath.Dir(power + stateFile), chronicle.Beside(power + stateFile)} {
		_, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(longest.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		t.Fatal(err)
	}
	<-time.After(time.Duration(rng.Int64N(int64(briefly))))
}
