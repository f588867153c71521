package link

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// half is a signal of one half of a change.
func half(order binary.ByteOrder, iface string) Item {
	body := make([]byte, 4, 64)
	order.PutUint32(body, uint32(len(iface)))
	return Item{Kind: Signal, Unit: "a.service", Order: order, Body: append(append(body, iface...), 0)}
}

func TestHalvesGoTogether(t *testing.T) {
	const service, unit = "org.freedesktop.systemd1.Service", "org.freedesktop.systemd1.Unit"
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, tt := range []struct {
			name  string
			items []Item
			all   bool
			kept  bool
		}{
			{name: "a Service half", items: []Item{half(order, service)}, kept: true},
			{name: "one behind a change", items: []Item{half(order, service), half(order, unit), half(order, service)}, kept: true},
			{name: "one that came alone", items: []Item{half(order, service)}, all: true},
			{name: "a change", items: []Item{half(order, service), half(order, unit)}},
			{name: "a reply that looks like one", items: []Item{{Kind: Reply, Order: order, Body: half(order, service).Body}}},
			{name: "another interface", items: []Item{half(order, service+"X")}},
			{name: "nothing"},
		} {
			t.Run(order.String()+" "+tt.name, func(t *testing.T) {
				l := &Link{backlog: newBacklog()}
				for _, it := range tt.items {
					l.add(it)
				}
				if kept := l.handOver(tt.all); kept != tt.kept {
					t.Errorf("kept %v, want %v", kept, tt.kept)
				}
				want := len(tt.items)
				if tt.kept {
					want = 0
				}
				if items, _ := l.Get(); len(items) != want {
					t.Errorf("handed over %d items, want %d", len(items), want)
				}
			})
		}
	}
}

// A half waits for the other one, but not for ever. The time is the test's: polled
// says what became of the wait.
func TestHalfWaits(t *testing.T) {
	const kept, all, waited = "handed over what is whole", "handed over all", "waited 1ms"
	for _, tt := range []struct {
		name   string
		polled bool // the other half came in time
		want   []string
	}{
		{name: "the other half comes", polled: true, want: []string{kept, waited}},
		{name: "it does not come", want: []string{kept, waited, all}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, bus := connected(t)
			var got []string
			in.handOver = func(isAll bool) bool {
				got = append(got, map[bool]string{false: kept, true: all}[isAll])
				return !isAll
			}
			in.poll = func(_ int, limit time.Duration) bool {
				got = append(got, fmt.Sprint("waited ", limit))
				return tt.polled
			}
			bus.Write([]byte{1}) // for the read that follows
			if err := in.fill(1); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPoll has nothing to wait for, and then something that is there already.
func TestPoll(t *testing.T) {
	in, bus := connected(t)
	can := func(limit time.Duration) (can bool) {
		if err := in.socket.Control(func(fd uintptr) { can = poll(int(fd), limit) }); err != nil {
			t.Fatal(err)
		}
		return can
	}
	if can(0) {
		t.Error("an empty socket can be read")
	}
	bus.Write([]byte{1})
	if !can(time.Hour) {
		t.Error("a full socket cannot be read")
	}
}
