package bus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/stages/journald/records"
	"service-monitor/test/fakebus"
)

// discard is for a test that expects no signal.
var discard = pipelinetest.Each(func(bus.Signal) {})

// rig is a source that runs against a fake bus.
type rig struct {
	t       *testing.T
	bus     *fakebus.Bus
	lists   fakebus.Lists
	signals chan bus.Signal
	systemd *pipelinetest.Notifier
	log     *logtest.Hook
	ended   chan error
	doubt   func()
	counts  func() bus.Counts
}

// start starts a source; prepare sets up the bus first.
func start(t *testing.T, prepare func(*fakebus.Bus), services ...string) *rig {
	t.Helper()
	return startAudited(t, 0, prepare, services...)
}

// startAudited starts one that audits.
func startAudited(t *testing.T, every time.Duration, prepare func(*fakebus.Bus), services ...string) *rig {
	t.Helper()
	b := fakebus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.Address)
	if prepare != nil {
		prepare(b)
	}
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	source := bus.New(log, nil, 0, every)
	r := &rig{t, b, make(fakebus.Lists), make(chan bus.Signal), pipelinetest.NewNotifier(0), hook, make(chan error, 1), source.Doubt, source.Counts}
	g := pipeline.New(r.systemd)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", r.lists), source), pipelinetest.Forward(r.signals))
	go func() { r.ended <- g.Run(context.Background()) }()
	r.lists <- bus.List{Services: services}
	return r
}

// stop stops the source and returns what came on the way.
func (r *rig) stop() []string {
	r.t.Helper()
	close(r.lists)
	var rest []string
	for s := range r.signals {
		rest = append(rest, show(s))
	}
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	return rest
}

// want checks the next signals.
func (r *rig) want(want ...string) {
	r.t.Helper()
	for _, w := range want {
		s, ok := <-r.signals
		if got := show(s); !ok || got != w {
			r.t.Fatalf("received %q (%v), want %q", got, ok, w)
		}
	}
}

func show(s bus.Signal) string {
	kind := s.Kind.String()
	return kind + " " + s.Unit + " " + state(s)
}

// state is the ActiveState of a body, by godbus.
func state(s bus.Signal) string {
	for _, word := range []string{"activating", "inactive", "active", "failed"} {
		if strings.Contains(string(s.Body), "\x00"+word+"\x00") {
			return word
		}
	}
	return ""
}

func properties(state string) map[string]dbus.Variant {
	return map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(state)}
}

func change(unit, state string) bus.Signal {
	return bus.Signal{
		Unit: unit, Order: binary.LittleEndian,
		Body: fakebus.Body("org.freedesktop.systemd1.Unit", properties(state), []string{}),
	}
}

func snapshots(states ...string) func(*fakebus.Bus) {
	return func(b *fakebus.Bus) {
		for _, s := range states {
			unit, state, _ := strings.Cut(s, " ")
			b.Snapshot(unit, fakebus.Body(properties(state)))
		}
	}
}

func (r *rig) play(signals ...bus.Signal) {
	r.t.Helper()
	if err := r.bus.Play(signals...); err != nil {
		r.t.Fatal(err)
	}
}

// sync returns when the source has read all that the bus sent: it asks again
// when PID 1 is back.
func (r *rig) sync(unit string) {
	r.t.Helper()
	if err := r.bus.NewOwner(fakebus.PID1); err != nil {
		r.t.Fatal(err)
	}
	r.bus.Await("GetAll " + fakebus.Path(unit))
}

func TestSnapshotThenChangesInOrder(t *testing.T) {
	r := start(t, snapshots("a.service active", "b.service inactive"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service inactive")
	r.play(change("a.service", "failed"), change("nobody.service", "failed"), change("b.service", "activating"), change("a.service", "active"))
	r.want("changed a.service failed", "changed b.service activating", "changed a.service active")
	r.sync("a.service")
	if rest := slices.DeleteFunc(r.stop(), isSnapshot); len(rest) > 0 {
		t.Errorf("at the end: %q", rest)
	}
}

func isSnapshot(s string) bool { return strings.HasPrefix(s, "snapshot ") }

func TestSubscribesBeforeItAsks(t *testing.T) {
	r := start(t, nil, `a-b@c\x2dd.service`)
	path := `/org/freedesktop/systemd1/unit/a_2db_40c_5cx2dd_2eservice`
	for _, want := range []string{
		"Hello", "AddMatch type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.systemd1'",
		"GetNameOwner org.freedesktop.systemd1",
		"AddMatch type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='Reloading',path='/org/freedesktop/systemd1'",
		"AddMatch type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path='" + path + "'",
		"AddMatch type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path='/org/freedesktop/systemd1/unit/shutdown_2etarget'",
		"Subscribe", "Get org.freedesktop.systemd1.Manager", "Get org.freedesktop.systemd1.Manager",
	} {
		if got := r.bus.Called(); got != want {
			t.Errorf("called %s, want %s", got, want)
		}
	}
	r.bus.Await("GetAll " + path)
	r.want(`snapshot a-b@c\x2dd.service inactive`)
	r.stop()
}

func TestReadyAfterTheSnapshot(t *testing.T) {
	r := start(t, snapshots("a.service active"), "a.service")
	r.want("snapshot a.service active")
	r.systemd.Await("READY=1")
	r.stop()
}

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

func TestBusLostAndBack(t *testing.T) {
	r := start(t, snapshots("a.service active"), "a.service")
	first := <-r.signals
	watching := records.Clock()
	r.bus.Await("GetAll " + fakebus.Path("a.service"))
	r.bus.Drop()
	second := <-r.signals
	if first.Kind != bus.Snapshot || first.Watched != 0 {
		t.Errorf("%v, watched until %d; nothing was watched before", first.Kind, first.Watched)
	}
	if second.Kind != bus.Snapshot || second.Watched < watching || second.Watched > second.Clock {
		t.Errorf("%v, watched until %d, want from %d to %d", second.Kind, second.Watched, watching, second.Clock)
	}
	r.play(change("a.service", "failed"))
	r.want("changed a.service failed")
	r.stop()
	if got := r.counts(); got.Reconnects != 1 || got.Received != 1 || got.Gaps != 2 || got.GapOpen {
		t.Errorf("%+v, want one reconnect, one signal and two gaps: the start is one", got)
	}
}

func TestNoBus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	log, hook := logtest.NewNullLogger()
	l := make(fakebus.Lists, 1)
	l <- bus.List{Services: []string{"a.service"}}
	g := pipeline.New(nil)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", l), bus.New(log, nil, 2, 0)), discard)
	err := g.Run(context.Background())
	if !errors.Is(err, bus.ErrNoBus) || !strings.Contains(err.Error(), "(tried 3 times)") {
		t.Errorf("Run: %v, want %v after 3 attempts", err, bus.ErrNoBus)
	}
	if n := len(hook.AllEntries()); n != 2 {
		t.Errorf("%d warnings, want one for each retry", n)
	}
}

func TestAddressThatCannotBeUsed(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "tcp:host=localhost")
	log, _ := logtest.NewNullLogger()
	l := make(fakebus.Lists, 1)
	l <- bus.List{Services: []string{"a.service"}}
	g := pipeline.New(nil)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", l), bus.New(log, nil, 0, 0)), discard)
	if err := g.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "DBUS_SYSTEM_BUS_ADDRESS") {
		t.Errorf("Run: %v, want the variable to be named", err)
	}
}

func TestSubscribeRefused(t *testing.T) {
	b := fakebus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.Address)
	b.Reply("Subscribe", fakebus.Reply{Error: "org.freedesktop.DBus.Error.AccessDenied", Signature: "s", Body: fakebus.Body("not for you")})
	log, _ := logtest.NewNullLogger()
	l := make(fakebus.Lists, 1)
	l <- bus.List{Services: []string{"a.service"}}
	g := pipeline.New(nil)
	pipeline.Sink(g, "collector", pipeline.Add(g, "bus", pipeline.Source(g, "lists", l), bus.New(log, nil, 1, 0)), discard)
	err := g.Run(context.Background())
	if want := "bus: no system bus: cannot call Subscribe: not for you (tried 2 times)"; err == nil || err.Error() != want {
		t.Errorf("Run: %v, want %s", err, want)
	}
}

// PID 1 has a new name after daemon-reexec; before 257 it may have forgotten us.
func TestNewOwnerIsFollowed(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("a.service active")(b)
		b.Reply("Subscribe", fakebus.Reply{Error: "org.freedesktop.systemd1.AlreadySubscribed", Signature: "s", Body: fakebus.Body("again?")})
	}, "a.service")
	r.want("snapshot a.service active")
	if err := r.bus.NewOwner(":1.99"); err != nil {
		t.Fatal(err)
	}
	r.want("snapshot a.service active")
	r.play(change("a.service", "failed")) // by the old name: refused
	say := change("a.service", "activating")
	if err := r.bus.Say(":1.99", fakebus.Path("a.service"), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", say.Body, say.Order); err != nil {
		t.Fatal(err)
	}
	r.want("changed a.service activating")
	r.stop()
}

func TestDaemonReloadAsksAgain(t *testing.T) {
	r := start(t, nil, "a.service")
	r.want("snapshot a.service inactive")
	for _, active := range []bool{true, false} {
		err := r.bus.Say(fakebus.PID1, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Reloading", "b", fakebus.Body(active), binary.LittleEndian)
		if err != nil {
			t.Fatal(err)
		}
	}
	r.want("checked a.service inactive")
	if rest := r.stop(); rest != nil {
		t.Errorf("more came: %q", rest)
	}
}

func TestReloadOfTheList(t *testing.T) {
	r := start(t, snapshots("a.service active", "c.service failed"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service inactive")
	r.lists <- bus.List{Services: []string{"a.service", "c.service"}}
	r.want("forgotten b.service ", "snapshot c.service failed")
	r.play(change("b.service", "failed"), change("c.service", "active"), change("a.service", "failed"))
	r.want("changed c.service active", "changed a.service failed")
	r.stop()
}

func TestKnownUnitsThatAreNotMonitoredAreForgotten(t *testing.T) {
	r := start(t, nil)
	r.lists <- bus.List{Services: []string{"a.service"}}
	r.want("snapshot a.service inactive")
	r.stop()
}

func listed(names ...string) fakebus.Reply {
	type unit struct {
		Name, Description, Load, Active, Sub, Following string
		Path                                            dbus.ObjectPath
		ID                                              uint32
		JobType                                         string
		JobPath                                         dbus.ObjectPath
	}
	var units []unit
	for _, n := range names {
		units = append(units, unit{Name: n, Path: "/x", JobPath: "/"})
	}
	return fakebus.Reply{Signature: "a(ssssssouso)", Body: fakebus.Body(units)}
}

func TestGlobs(t *testing.T) {
	r := start(t, func(b *fakebus.Bus) {
		snapshots("sink-1.service active", "sink-2.service inactive")(b)
		b.Reply("ListUnitsByPatterns", listed("sink-1.service", "sink-1.service"))
		type file struct{ Path, State string }
		b.Reply("ListUnitFilesByPatterns", fakebus.Reply{Signature: "a(ss)", Body: fakebus.Body([]file{
			{"/etc/systemd/system/sink-2.service", "enabled"}, {"/lib/systemd/system/sink-@.service", "static"},
		})})
	}, "sink-*.service")
	r.want("snapshot sink-1.service active", "snapshot sink-2.service inactive", "pattern sink-*.service ")
	r.play(change("sink-3.service", "inactive"), change("source.service", "active"), change("sink-3.service", "active"))
	r.want("changed sink-3.service inactive", "changed sink-3.service active")
	r.stop()
}

// A unit that is monitored by an alias is announced by its own name alone.
func TestAlias(t *testing.T) {
	own := func(name string) []byte {
		p := properties("active")
		p["Id"] = dbus.MakeVariant(name)
		return fakebus.Body(p)
	}
	r := start(t, func(b *fakebus.Bus) {
		b.Snapshot("sshd.service", own("ssh.service"))
		b.Snapshot("syslog.service", own("syslog.service"))
		b.Snapshot("rsyslog.service", own("syslog.service"))
		b.Snapshot("dbus-org.x.service", own("x.service"))
		b.Reply("ListUnitsByPatterns", listed("dbus-org.x.service"))
	}, "syslog.service", "rsyslog.service", "sshd.service", "dbus-*.service")
	r.want("snapshot syslog.service active", "snapshot sshd.service active", "pattern dbus-*.service ")
	r.play(change("x.service", "failed"), change("syslog.service", "failed"), change("ssh.service", "failed"))
	r.want("changed syslog.service failed", "changed sshd.service failed")
	r.lists <- bus.List{Services: []string{"sshd.service"}}
	r.want("forgotten syslog.service ", "forgotten dbus-*.service ")
	r.play(change("ssh.service", "active"))
	r.want("changed sshd.service active")
	r.stop()
}

func entered(state string, at uint64) []byte {
	p := properties(state)
	p["StateChangeTimestampMonotonic"] = dbus.MakeVariant(at)
	return fakebus.Body(p)
}

// A unit that is in another state, and has announced nothing, is the sign of a
// subscription that systemd has forgotten: everything is begun anew.
func TestForgottenSubscription(t *testing.T) {
	since := func(at uint64) fakebus.Reply {
		return fakebus.Reply{Signature: "v", Body: fakebus.Body(dbus.MakeVariant(at))}
	}
	r := startAudited(t, 10*time.Millisecond, func(b *fakebus.Bus) {
		b.Snapshot("a.service", entered("active", 100))
		b.Reply("Get", since(100))
	}, "a.service")
	r.want("snapshot a.service active")
	for range 3 { // all is well
		r.bus.Await("Get org.freedesktop.systemd1.Unit")
	}
	r.play(change("a.service", "activating")) // and said so
	r.want("changed a.service activating")
	r.bus.Snapshot("a.service", entered("failed", 200))
	r.bus.Reply("Get", since(200)) // nobody asks for it until the snapshot is there
	r.sync("a.service")
	r.want("snapshot a.service failed")
	r.bus.Snapshot("a.service", entered("inactive", 300))
	r.bus.Reply("Get", since(300)) // behind our back
	r.want("snapshot a.service inactive")
	r.stop()
	var reports int
	for _, e := range r.log.AllEntries() {
		if strings.Contains(fmt.Sprint(e.Data["error"]), "systemd no longer announces what happens: a.service has changed") {
			reports++
		}
	}
	if reports != 1 {
		t.Errorf("%d reports, want 1", reports)
	}
}

func TestDoubtBeginsAGap(t *testing.T) {
	r := start(t, snapshots("a.service active", "b.service active"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service active")
	r.doubt()
	r.want("snapshot a.service active", "snapshot b.service active")
	r.stop()
}

// A stage that does not receive never stops the reading; what does not fit is
// told of, and the unit's state asked for.
func TestFallingBehindIsDeclaredAndHealed(t *testing.T) {
	r := start(t, snapshots("a.service active", "b.service active"), "a.service", "b.service")
	r.want("snapshot a.service active", "snapshot b.service active")
	flood := change("a.service", "activating")
	flood.Body = fakebus.Body("org.freedesktop.systemd1.Unit", map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("activating"), "Filler": dbus.MakeVariant(strings.Repeat("x", 100_000)),
	}, []string{})
	for range 200 { // 20 MB: the bus would be held up if they were not read
		r.play(flood)
	}
	r.play(change("b.service", "failed"))
	counts := map[string]int{}
	// On a busy machine, the change of b.service may be among what does not fit, too.
	told := func() int { return counts["changed b.service failed"] + counts["snapshot b.service active"] }
	for s := range r.signals {
		// On a busy machine, the snapshot comes amid the flood, the rest of which is handed on.
		if healed := counts["snapshot a.service active"] > 0; !healed || s.Unit != "a.service" {
			counts[show(s)]++
		}
		if counts["snapshot a.service active"] > 0 && told() > 0 {
			break
		}
	}
	if n := counts["changed a.service activating"]; n == 0 || n > 60 {
		t.Errorf("%d changes were handed on, want those that fit", n)
	}
	if told() != 1 {
		t.Errorf("handed on %v, want what happened to b.service, too", counts)
	}
	r.stop()
}
