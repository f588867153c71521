package link

import (
	"encoding/binary"
	"testing"
	"time"
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

// A half whose other one does not come is handed over all the same.
func TestHalfIsNotKeptForEver(t *testing.T) {
	in, _ := connected(t)
	type call struct {
		all bool
		at  time.Time
	}
	calls := make(chan call, 10)
	in.handOver = func(all bool) bool {
		calls <- call{all, time.Now()}
		return !all
	}
	go func() { in.fill(1) }() // until the socket is closed
	first, second := <-calls, <-calls
	if first.all {
		t.Error("handed over before the rest was waited for")
	}
	if waited := second.at.Sub(first.at); !second.all || waited < atOnce {
		t.Errorf("handed over all: %v, after %v", second.all, waited)
	}
}
