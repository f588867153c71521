package bus_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"service-monitor/stages/bus"
	"service-monitor/test/fakebus"
)

func TestLiesAreRefused(t *testing.T) {
	r := start(t, snapshots("a.service active"), "a.service")
	r.want("snapshot a.service active")
	lie := change("a.service", "failed")
	say := func(sender, member, signature string, body []byte) {
		t.Helper()
		if err := r.bus.Say(sender, fakebus.Path("a.service"), "org.freedesktop.DBus.Properties", member, signature, body, binary.LittleEndian); err != nil {
			t.Fatal(err)
		}
	}
	say(":1.66", "PropertiesChanged", "sa{sv}as", lie.Body)                    // not PID 1
	say("org.freedesktop.systemd1", "PropertiesChanged", "sa{sv}as", lie.Body) // a name is not a sender
	say(fakebus.PID1, "PropertiesChanged", "s", fakebus.Body("x"))             // another signature
	say(fakebus.PID1, "Unheard", "sa{sv}as", lie.Body)                         // another signal
	say(fakebus.PID1, "PropertiesChanged", "sa{sv}as", make([]byte, 2<<20))
	r.play(change("a.service", "activating"))
	r.want("changed a.service activating")
	r.sync("a.service")
	r.stop()
	var refused []any
	for _, e := range r.log.AllEntries() {
		if n, ok := e.Data["signals"]; ok {
			refused = append(refused, n)
		}
	}
	if len(refused) != 1 || refused[0].(uint64) == 0 || refused[0].(uint64) > 4 { // when it was written, not all had come
		t.Errorf("reports of refused signals: %v, want one in a minute, of 4 at most", refused)
	}
	if got, want := r.counts(), (bus.Counts{Connected: true, Received: 1, Refused: 4, Gaps: 2}); got != want { // sync begins a gap
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A reply is awaited by its serial, and anybody can guess that. By the policy of
// the system bus replies that nobody asked for are not delivered; another bus,
// or a policy that was loosened, delivers them.
func TestRepliesOfStrangersAreRefused(t *testing.T) {
	const stranger, hello, getNameOwner = ":1.66", 1, 1<<31 + 1
	r := start(t, snapshots("a.service active"), "a.service")
	r.want("snapshot a.service active")
	deep := strings.Repeat("\x01v\x00", 70) + "\x01y\x00\x00" // fatal to godbus
	for _, lie := range []struct {
		serial uint32
		reply  fakebus.Reply
	}{
		{getNameOwner, fakebus.Reply{Signature: "s", Body: fakebus.Body(stranger)}},
		{hello, fakebus.Reply{Signature: "v", Body: []byte(deep)}},
		{hello, fakebus.Reply{Error: "org.freedesktop.DBus.Error.Failed", Signature: "v", Body: []byte(deep)}},
		{1 << 31, fakebus.Reply{Signature: "s", Body: make([]byte, 32<<20)}},
	} {
		if err := r.bus.SayReply(stranger, lie.serial, lie.reply); err != nil {
			t.Fatal(err)
		}
	}
	lie := change("a.service", "failed")
	for _, sender := range []string{stranger, ""} {
		if err := r.bus.Say(sender, fakebus.Path("a.service"), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", lie.Body, lie.Order); err != nil {
			t.Fatal(err)
		}
	}
	r.play(change("a.service", "activating"))
	r.want("changed a.service activating")
	r.stop()
}

// Until systemd has its name (again), nobody is believed to have it.
func TestNobodyIsSystemdWhileItIsGone(t *testing.T) {
	r := start(t, snapshots("a.service active"), "a.service")
	r.want("snapshot a.service active")
	if err := r.bus.NewOwner(""); err != nil {
		t.Fatal(err)
	}
	lie := change("a.service", "failed")
	if err := r.bus.Say("", fakebus.Path("a.service"), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", lie.Body, lie.Order); err != nil {
		t.Fatal(err)
	}
	if err := r.bus.NewOwner(fakebus.PID1); err != nil {
		t.Fatal(err)
	}
	r.want("snapshot a.service active")
	r.stop()
}

// flood sends lies of so many MB, or until the connection is gone.
func (r *rig) flood(megabytes int) {
	lie, n := make([]byte, 1<<20), 0
	for n < megabytes && r.bus.Say(":1.66", "/", "a.b", "C", "ay", lie, binary.LittleEndian) == nil {
		n++
	}
}

// lost returns how often the log says that the bus was lost, for this reason.
func (r *rig) lost(why string) int {
	n := 0
	for _, e := range r.log.AllEntries() {
		if err, ok := e.Data["error"].(error); ok && e.Message == "lost the system bus" && strings.Contains(err.Error(), why) {
			n++
		}
	}
	return n
}

// A bus with more in its queue than it may hold drops signals of systemd.
func TestBusThatMayHaveDroppedSignalsIsLeft(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("a.service active")(b)
		b.Reply("GetId", fakebus.Reply{None: true}) // its reply is behind all that is sent here
	}, "a.service")
	r.want("snapshot a.service active")
	r.flood(60)
	r.want("snapshot a.service active")
	if n := r.lost("too much waits in the bus"); n == 0 {
		t.Error("the log does not say why there is a new connection")
	}
	r.stop()
}

func TestFloodThatIsReadInTimeIsBorne(t *testing.T) {
	r := start(t, snapshots("a.service active"), "a.service")
	r.want("snapshot a.service active")
	for range 10 { // in time: it is asked in between, and answers once it has read all
		r.flood(20)
		if err := r.bus.NewOwner(fakebus.PID1); err != nil {
			t.Fatal(err)
		}
		r.want("snapshot a.service active")
	}
	r.play(change("a.service", "failed"))
	r.want("changed a.service failed")
	if n := r.lost(""); n != 0 {
		t.Errorf("the bus was left %d times, want it kept", n)
	}
	r.stop()
}

// prefix begins a message: its byte order, type and version, and the lengths in
// bytes of its body and of its header fields.
func prefix(order, kind, version byte, body, fields uint32) []byte {
	b := []byte{order, kind, 0, version}
	for _, n := range []uint32{body, 1, fields} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// What no bus sends: it is refused where the stream goes on, and else there is a
// new connection.
func TestGarbageOnTheStream(t *testing.T) {
	const signal = 4
	tests := []struct {
		name  string
		frame []byte
		drop  bool // and then the bus is gone
		again bool
	}{
		{name: "no message", frame: []byte(strings.Repeat("garbage!", 4)), again: true},
		{name: "another version", frame: prefix('l', signal, 2, 0, 0), again: true},
		{name: "header longer than any", frame: prefix('l', signal, 1, 0, 1<<26+1), again: true},
		{name: "body longer than any", frame: prefix('l', signal, 1, 1<<27+1, 0), again: true},
		{name: "body of 4 GB", frame: prefix('l', signal, 1, 1<<32-1, 0), again: true},
		{name: "cut in the prefix", frame: prefix('l', signal, 1, 0, 0)[:9], drop: true, again: true},
		{name: "cut in the header", frame: append(prefix('l', signal, 1, 0, 100), make([]byte, 50)...), drop: true, again: true},
		{name: "cut in the body", frame: append(prefix('l', signal, 1, 32<<20, 0), make([]byte, 16<<20)...), drop: true, again: true},
		{name: "no header fields", frame: prefix('l', signal, 1, 0, 0)},
		{name: "no type", frame: prefix('l', 0, 1, 0, 0)},
		{name: "a type that there is not", frame: prefix('l', 200, 1, 0, 0)},
		{name: "header of 1 MB", frame: append(prefix('l', signal, 1, 0, 1<<20), make([]byte, 1<<20)...)},
		{name: "header fields that are none", frame: append(prefix('l', signal, 1, 0, 64), bytes.Repeat([]byte{0xff}, 64)...)},
		{name: "body of 32 MB", frame: append(prefix('l', signal, 1, 32<<20, 0), make([]byte, 32<<20)...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, snapshots("a.service active"), "a.service")
			r.want("snapshot a.service active")
			if err := r.bus.SendRaw(tt.frame); err != nil {
				t.Fatal(err)
			}
			if tt.drop {
				r.bus.Drop()
			}
			if tt.again {
				r.want("snapshot a.service active")
			}
			r.play(change("a.service", "failed"))
			r.want("changed a.service failed")
			r.stop()
		})
	}
}
