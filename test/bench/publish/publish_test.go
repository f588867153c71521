package publish

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"service-monitor/test/fakebus"
)

const recorded = "../../e2e/testdata/recordings/252/restart.gz"

// serveBus accepts one client as a bus does, and delivers the messages that the client sends.
func serveBus(t *testing.T) (path string, sent <-chan *dbus.Message) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	messages := make(chan *dbus.Message, 1000)
	go func() {
		defer close(messages)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		in.ReadString('\n')
		conn.Write([]byte("OK 00\r\n"))
		in.ReadString('\n')
		for {
			m, err := dbus.DecodeMessage(in)
			if err != nil {
				return
			}
			if m.Type == dbus.TypeMethodCall {
				reply := dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(m.Serial())}}
				var b bytes.Buffer
				reply.EncodeTo(&b, binary.LittleEndian)
				b.Bytes()[8] = 1
				conn.Write(b.Bytes())
				continue
			}
			messages <- m
		}
	}()
	return path, messages
}

// The publisher must send what a real systemd sends, and each run must have an invocation ID of its
// own.
func TestStorm(t *testing.T) {
	path, sent := serveBus(t)
	script, err := Load(recorded)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a.service", "b-1.service"}
	s, err := Start(path, script, names)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Storm(33)
	if err != nil {
		t.Fatal(err)
	}
	if n != 64 {
		t.Errorf("%d signals, want whole rounds of restarts", n)
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	changes, touched := s.Changes()
	s.Close()
	got := map[string][]string{}
	runs := map[string]bool{}
	for m := range sent {
		path := fmt.Sprint(m.Headers[dbus.FieldPath].Value())
		properties := m.Body[1].(map[string]dbus.Variant)
		if m.Body[0] == unitInterface {
			got[path] = append(got[path], fmt.Sprint(properties["ActiveState"].Value(), "/", properties["SubState"].Value()))
			runs[path+fmt.Sprint(properties["InvocationID"].Value())] = true
		} else if properties["Result"].Value() != "success" {
			t.Errorf("%s: result %v", path, properties["Result"])
		}
	}
	restart := []string{"active/running", "active/running", "deactivating/stop-sigterm", "inactive/dead", "inactive/dead", "activating/start", "active/running", "active/running"}
	twice := append(restart[:len(restart):len(restart)], restart...)
	want := map[string][]string{
		fakebus.Path("a.service"): twice, fakebus.Path("b-1.service"): twice, fakebus.Path(Last): restart[4:],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(runs) != 3+3+1 {
		t.Errorf("%d invocations, want 3 of each that ran before and 1 of the other", len(runs))
	}
	if changes != 4*4+2 || touched != 3 {
		t.Errorf("%d changes of %d services, want 18 of 3", changes, touched)
	}
	if diff := cmp.Diff(map[string]int{"a.service": 2, "b-1.service": 2, Last: 1}, s.Restarts()); diff != "" {
		t.Errorf("restarts (-want +got):\n%s", diff)
	}
}

// The reply to GetAll is put together by hand, so godbus must understand it.
func TestSnapshot(t *testing.T) {
	script, err := Load(recorded)
	if err != nil {
		t.Fatal(err)
	}
	all := newPrefix(script.snapshot)
	for _, u := range []*service{
		{name: "a.service", state: "active", sub: "running", entered: 1 << 40, invocation: [16]byte{1, 2, 3}},
		{name: "a-longer-name@1.service", state: "inactive", sub: "dead"},
	} {
		got, err := decode(all.of(u))
		if err != nil {
			t.Fatal(err)
		}
		id, _ := got["InvocationID"].Value().([]byte)
		if fmt.Sprint(got["Id"].Value(), got["ActiveState"].Value(), got["SubState"].Value(), got["StateChangeTimestampMonotonic"].Value()) !=
			fmt.Sprint(u.name, u.state, u.sub, u.entered) || len(id) != 0 && !bytes.Equal(id, u.invocation[:]) {
			t.Errorf("%s: %v", u.name, got["Id"])
		}
		if len(got) < len(script.snapshot)-1 { // Names is left out
			t.Errorf("%s: %d properties of %d", u.name, len(got), len(script.snapshot))
		}
	}
}
