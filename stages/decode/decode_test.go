package decode

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
)

const (
	unitInterface    = "org.freedesktop.systemd1.Unit"
	serviceInterface = "org.freedesktop.systemd1.Service"
)

var theInvocation = Invocation{0x1b, 0x35, 0xbf, 15: 0x99}

func theUnitHalf() map[string]dbus.Variant {
	return map[string]dbus.Variant{
		"ActiveState":                   dbus.MakeVariant("active"),
		"SubState":                      dbus.MakeVariant("running"),
		"InvocationID":                  dbus.MakeVariant(theInvocation[:]),
		"StateChangeTimestampMonotonic": dbus.MakeVariant(uint64(1234567)),
		"FreezerState":                  dbus.MakeVariant("running"),
		"Job": dbus.MakeVariant(struct {
			ID   uint32
			Path dbus.ObjectPath
		}{4242, "/org/freedesktop/systemd1/job/4242"}),
		"AssertResult": dbus.MakeVariant(false),
		"Conditions":   dbus.MakeVariant([]struct{ A, B string }{{"ConditionPathExists", "/x"}}),
	}
}

func theServiceHalf() map[string]dbus.Variant {
	return map[string]dbus.Variant{
		"Result":         dbus.MakeVariant("signal"),
		"NRestarts":      dbus.MakeVariant(uint32(7)),
		"ExecMainCode":   dbus.MakeVariant(int32(2)),
		"ExecMainStatus": dbus.MakeVariant(int32(9)),
		"ExecMainPID":    dbus.MakeVariant(uint32(4711)),
		"StatusText":     dbus.MakeVariant("Result=success\n"),
	}
}

// encode writes a body as godbus does.
func encode(t testing.TB, order binary.ByteOrder, values ...any) []byte {
	t.Helper()
	m := dbus.Message{Type: dbus.TypeSignal, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/")), dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldMember: dbus.MakeVariant("C"), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(values...)),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()[b.Len()-int(order.Uint32(b.Bytes()[4:])):]
}

func changed(t testing.TB, iface string, properties map[string]dbus.Variant) bus.Signal {
	return bus.Signal{
		Kind: bus.Changed, Unit: "a.service", Order: binary.LittleEndian,
		Body: encode(t, binary.LittleEndian, iface, properties, []string{"Documentation"}),
	}
}

func TestStep(t *testing.T) {
	complete := Properties{
		LoadState: "loaded", ActiveState: "active", SubState: "running", Invocation: theInvocation, Entered: 1234567, Job: 4242,
		Result: "signal", NRestarts: 7, MainCode: 2, MainStatus: 9,
	}
	all := theUnitHalf()
	for name, value := range theServiceHalf() {
		all[name] = value
	}
	all["LoadState"] = dbus.MakeVariant("loaded")
	wrong := func(half map[string]dbus.Variant, name string, value any) map[string]dbus.Variant {
		half[name] = dbus.MakeVariant(value)
		return half
	}
	for _, tt := range []struct {
		name    string
		signals []bus.Signal
		want    []Update
	}{{
		name:    "a change is complete with its Unit half",
		signals: []bus.Signal{changed(t, serviceInterface, theServiceHalf()), changed(t, unitInterface, theUnitHalf())},
		want:    []Update{{Kind: Changed, Unit: "a.service", Properties: complete}},
	}, {
		name: "a snapshot is complete",
		signals: []bus.Signal{{
			Kind: bus.Snapshot, Unit: "a.service", Order: binary.BigEndian, Body: encode(t, binary.BigEndian, all),
		}},
		want: []Update{{Kind: Snapshot, Unit: "a.service", Properties: complete}},
	}, {
		name:    "an empty snapshot is refused",
		signals: []bus.Signal{{Kind: bus.Snapshot, Unit: "a.service", Order: binary.LittleEndian, Body: make([]byte, 8)}},
	}, {
		name:    "another interface of the unit says nothing",
		signals: []bus.Signal{changed(t, "org.freedesktop.systemd1.Mount", theServiceHalf())},
	}, {
		name: "a property of another type is refused whole",
		signals: []bus.Signal{
			changed(t, serviceInterface, theServiceHalf()),
			changed(t, serviceInterface, wrong(theServiceHalf(), "NRestarts", "8")),
			changed(t, serviceInterface, wrong(theServiceHalf(), "Result", uint32(1))),
			changed(t, unitInterface, wrong(theUnitHalf(), "InvocationID", []byte{1, 2})),
			changed(t, unitInterface, wrong(theUnitHalf(), "Job", uint32(1))),
			changed(t, unitInterface, theUnitHalf()),
		},
		want: []Update{{Kind: Changed, Unit: "a.service", Properties: complete}},
	}, {
		name:    "a body that is cut is refused",
		signals: []bus.Signal{{Kind: bus.Changed, Unit: "a.service", Order: binary.LittleEndian, Body: changed(t, unitInterface, theUnitHalf()).Body[:100]}},
	}, {
		name:    "a unit that systemd does not show is not there",
		signals: []bus.Signal{{Kind: bus.Missing, Unit: "a.service"}},
		want: []Update{{Kind: Snapshot, Unit: "a.service", Properties: Properties{
			LoadState: "not-found", ActiveState: "inactive", SubState: "dead",
		}}},
	}, {
		name:    "one that comes and goes is inactive then",
		signals: []bus.Signal{{Kind: bus.Missing, Unit: "a.service", Account: bus.Account{New: true}}},
		want: []Update{{
			Kind: Snapshot, Unit: "a.service", Account: bus.Account{New: true},
			Properties: Properties{LoadState: "loaded", ActiveState: "inactive", SubState: "dead"},
		}},
	}, {
		name: "a unit that is forgotten begins anew",
		signals: []bus.Signal{
			changed(t, serviceInterface, theServiceHalf()),
			{Kind: bus.Forgotten, Unit: "a.service"},
			changed(t, unitInterface, map[string]dbus.Variant{"ActiveState": dbus.MakeVariant("inactive")}),
		},
		want: []Update{
			{Kind: Forgotten, Unit: "a.service", Properties: Properties{Result: "signal", NRestarts: 7, MainCode: 2, MainStatus: 9}},
			{Kind: Changed, Unit: "a.service", Properties: Properties{ActiveState: "inactive"}},
		},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			log, _ := logtest.NewNullLogger()
			s := New(log)
			var got []Update
			for _, signal := range tt.signals {
				if u, ok := s.step(signal); ok {
					got = append(got, u)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("updates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestState(t *testing.T) {
	for _, tt := range []struct {
		name        string
		load, state string
		want        string
	}{
		{"loaded", "loaded", "inactive", "inactive"},
		{"not there", "not-found", "inactive", "unloaded"},
		{"deleted while running", "not-found", "active", "active"},
		{"deleted and crashed", "not-found", "failed", "failed"},
		{"masked", "masked", "inactive", "inactive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Properties{LoadState: tt.load, ActiveState: tt.state}
			if got := p.State(); got != tt.want {
				t.Errorf("State: %s, want %s", got, tt.want)
			}
		})
	}
}

// A unit that runs again was loaded again, though nothing announces that.
func TestNewInvocationIsLoaded(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	s := New(log)
	s.step(bus.Signal{Kind: bus.Missing, Unit: "a.service"})
	u, _ := s.step(changed(t, unitInterface, map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant("inactive"), "InvocationID": dbus.MakeVariant(theInvocation[:]),
	}))
	if u.State() != "inactive" {
		t.Errorf("State: %s, want inactive", u.State())
	}
}

func TestRefusedAreReportedOnceAMinute(t *testing.T) {
	log, hook := logtest.NewNullLogger()
	s := New(log)
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		s.step(bus.Signal{Kind: bus.Changed, Unit: "a.service", Order: binary.LittleEndian, Time: begun.Add(time.Duration(i) * 100 * time.Millisecond)})
	}
	var counts []any
	for _, e := range hook.AllEntries() {
		counts = append(counts, e.Data["signals"])
	}
	if diff := cmp.Diff([]any{1, 600}, counts); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func TestRunDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := logrus.New()
		var got []string
		g := pipeline.New(nil)
		signals := pipeline.Source(g, "player", pipelinetest.Play(
			changed(t, serviceInterface, theServiceHalf()), changed(t, unitInterface, theUnitHalf()), bus.Signal{Kind: bus.Missing, Unit: "b.service"},
		))
		pipeline.Sink(g, "collector", pipeline.Add(g, "decode", signals, New(log)), pipelinetest.Each(func(u Update) {
			got = append(got, u.Unit+" "+u.ActiveState)
		}))
		if err := g.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a.service active", "b.service inactive"}, got); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
	})
}

// Whatever godbus reads of a body, the walker reads the same.
func FuzzChanged(f *testing.F) {
	for _, s := range []bus.Signal{changed(f, unitInterface, theUnitHalf()), changed(f, serviceInterface, theServiceHalf())} {
		f.Add(s.Body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := walker{make(map[string]string)}
		var p Properties
		half, err := w.changed(body, binary.LittleEndian, &p)
		if err != nil {
			return
		}
		properties, ok := readWithGodbus(body)
		if !ok {
			t.Fatalf("accepted what godbus refuses: %x", body)
		}
		if got, want := p.ActiveState, text(properties["ActiveState"]); got != want {
			t.Errorf("ActiveState of half %d: %q, godbus reads %q", half, got, want)
		}
		if got, want := p.Result, text(properties["Result"]); got != want {
			t.Errorf("Result: %q, godbus reads %q", got, want)
		}
		if want, _ := properties["NRestarts"].Value().(uint32); p.NRestarts != want {
			t.Errorf("NRestarts: %d, godbus reads %d", p.NRestarts, want)
		}
	})
}

func text(v dbus.Variant) string {
	s, _ := v.Value().(string)
	return s
}

func readWithGodbus(body []byte) (map[string]dbus.Variant, bool) {
	m := dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/")), dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldMember: dbus.MakeVariant("C"), dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("sa{sv}as")),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return nil, false
	}
	binary.LittleEndian.PutUint32(b.Bytes()[4:], uint32(len(body)))
	b.Write(body)
	read, err := dbus.DecodeMessage(&b)
	if err != nil || len(read.Body) != 3 {
		return nil, false
	}
	properties, ok := read.Body[1].(map[string]dbus.Variant)
	return properties, ok
}

func TestRepeatAllocatesNothing(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	s := New(log)
	service, unit := changed(t, serviceInterface, theServiceHalf()), changed(t, unitInterface, theUnitHalf())
	s.step(service)
	s.step(unit)
	if n := testing.AllocsPerRun(100, func() { s.step(service); s.step(unit) }); n != 0 {
		t.Errorf("%v allocations per change, want 0", n)
	}
}

func BenchmarkStep(b *testing.B) {
	log, _ := logtest.NewNullLogger()
	s := New(log)
	service, unit := changed(b, serviceInterface, theServiceHalf()), changed(b, unitInterface, theUnitHalf())
	b.ReportAllocs()
	for b.Loop() {
		s.step(service)
		s.step(unit)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/signal")
}

// A snapshot shows whether the unit has left the state inactive since its last run ended.
func TestReentered(t *testing.T) {
	for _, tt := range []struct {
		name                               string
		inactiveExit, activeExit, mainExit uint64
		want                               bool
	}{
		{"it never ran", 0, 0, 0, false},
		{"it ran", 1, 2, 3, false},
		{"it ran, and was cleaned", 4, 2, 3, true},
		{"it has no main process", 1, 2, 0, false},
		{"it has no main process, and was cleaned", 3, 2, 0, true},
		{"it was never active", 1, 0, 3, false},
	} {
		body := encode(t, binary.LittleEndian, map[string]dbus.Variant{
			"ActiveState": dbus.MakeVariant("inactive"), "CleanResult": dbus.MakeVariant("timeout"), "CanClean": dbus.MakeVariant([]string{"state"}),
			"InactiveExitTimestampMonotonic": dbus.MakeVariant(tt.inactiveExit),
			"ActiveExitTimestampMonotonic":   dbus.MakeVariant(tt.activeExit),
			"ExecMainExitTimestampMonotonic": dbus.MakeVariant(tt.mainExit),
		})
		got, ok := New(logrus.New()).step(bus.Signal{Kind: bus.Snapshot, Unit: "a.service", Order: binary.LittleEndian, Body: body})
		if !ok || got.LeftInactive != tt.want || !got.CleanFailed || !got.Cleanable {
			t.Errorf("%s: %+v, %v, want LeftInactive %v", tt.name, got.Properties, ok, tt.want)
		}
	}
}
