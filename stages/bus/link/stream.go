package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"service-monitor/stages/bus/wire"
)

const (
	maxHeader = 16 << 10 // a longer header is refused unread
	maxBody   = 1 << 20  // likewise for the body of a signal
	maxReply  = 16 << 20 // likewise for the body of a reply
)

// The bus keeps what we have not read yet, up to a limit. With dbus-daemon it is 127 MiB, unless
// max_outgoing_bytes says otherwise (dbus-daemon(1)). Beyond the limit the bus drops what comes
// for us, and tells only the sender. So signals of PID 1 get lost and we do not see it. Anybody
// can make that happen with a few messages of 32 MiB whose last bytes are sent at the same
// moment. It also happens if we do not run for a while.
const (
	// If more than maxQueued has waited in the bus, we take it that something was dropped. What
	// waits at one moment is read within two measurements, so maxQueued is less than half of the
	// limit.
	maxQueued    = 48 << 20
	measureEvery = 1 << 20         // bytes
	gaugeSerial  = firstSerial - 1 // neither godbus nor Call uses it
)

var errQueued = errors.New("too much waits in the bus, which may have dropped signals")

// Read gives godbus the rest of the stream, without what the link takes off it. godbus always
// reads at once, whatever the stages do. That matters: a client that reads slowly starves all
// other clients of the bus.
func (l *Link) Read(b []byte) (int, error) {
	if !l.begun.Load() {
		return l.in.Read(b)
	}
	for l.pass == 0 {
		if err := l.next(); err != nil {
			l.add(Item{Kind: Lost, Err: err})
			l.handOver(true)
			return 0, err
		}
	}
	n, err := l.in.Read(b[:min(len(b), l.pass)])
	l.pass -= n
	return n, err
}

// next takes one message off the stream, or leaves it to godbus in l.pass.
func (l *Link) next() error {
	head, err := l.in.peek(wire.FixedHeader)
	if err != nil {
		return err
	}
	p, err := wire.ParsePrefix(head)
	if err != nil {
		return err
	}
	if err := l.measure(p.Header + p.Body); err != nil {
		return err
	}
	if p.Header > maxHeader {
		return l.refuse(p.Header + p.Body)
	}
	head, err = l.in.peek(p.Header)
	if err != nil {
		return err
	}
	h, err := wire.ParseHeader(head, p)
	fromBus, reply := string(h.Sender) == BusName, p.Type == wire.MethodReply || p.Type == wire.Error
	switch {
	case err != nil:
		return l.refuse(p.Header + p.Body)
	case p.Type == wire.Signal:
		return l.takeSignal(p, h)
	case reply && fromBus && h.ReplySerial == gaugeSerial:
		l.gauge = gauge{}
		return l.skip(p.Header + p.Body)
	case reply && h.ReplySerial >= firstSerial && (fromBus || l.fromSystemd(h)):
		return l.takeReply(p, h)
	case reply && fromBus:
		l.pass = p.Header + p.Body
		return nil
	}
	// Nobody has a reason to call us, and we asked nobody else anything. It depends on its
	// policy whether the bus keeps such messages from us.
	return l.refuse(p.Header + p.Body)
}

// fromSystemd reports whether a message is from PID 1.
func (l *Link) fromSystemd(h wire.Header) bool {
	return len(l.owner) > 0 && bytes.Equal(h.Sender, l.owner)
}

func (l *Link) takeSignal(p wire.Prefix, h wire.Header) error {
	size := p.Header + p.Body
	switch {
	case string(h.Sender) == BusName:
		if string(h.Member) != "NameOwnerChanged" || p.Body > maxBody {
			return l.skip(size)
		}
		body, buffer, err := l.body(p)
		if err == nil {
			l.ownerChanged(body, p.Order)
			buffer.Release()
		}
		return err
	case l.owner == nil:
		return l.skip(size) // it is older than the snapshot that we will ask for
	case !l.fromSystemd(h):
		// Match rules do not keep out what somebody sends straight to us.
		return l.refuse(size)
	case string(h.Interface) == ManagerInterface && string(h.Member) == "Reloading" && string(h.Signature) == "b":
		body, buffer, err := l.body(p)
		r := wire.NewReader(body, p.Order)
		if err == nil && r.Uint32() == 0 && r.Done() {
			l.add(Item{Kind: Reloaded})
		}
		buffer.Release()
		return err
	case string(h.Interface) != Properties || string(h.Member) != "PropertiesChanged":
		return l.skip(size)
	}
	unit, ok := l.units(h.Path)
	switch {
	case !ok:
		return l.skip(size)
	case string(h.Signature) != "sa{sv}as" || p.Body > maxBody:
		return l.refuse(size)
	}
	body, buffer, err := l.body(p)
	if err == nil {
		l.in.pace.now++
		l.add(Item{Kind: Signal, Unit: unit, Body: body, Buffer: buffer, Order: p.Order, Time: l.in.at})
	}
	return err
}

// takeReply takes the reply to a request of ours.
func (l *Link) takeReply(p wire.Prefix, h wire.Header) error {
	it := Item{Kind: Reply, Serial: h.ReplySerial, Order: p.Order, Time: l.in.at}
	if p.Body > maxReply {
		it.Err = fmt.Errorf("reply of %d bytes is too long", p.Body)
		l.add(it)
		return l.refuse(p.Header + p.Body)
	}
	// The header is valid until the body is read.
	failed, named := p.Type == wire.Error, string(h.Signature) == "s"
	nobody, already := nobody(h.ErrorName), string(h.ErrorName) == Systemd+".AlreadySubscribed"
	var body []byte
	var err error
	if string(h.Signature) == "a{sv}" {
		body, err = l.properties(p)
	} else {
		body, it.Buffer, err = l.body(p)
	}
	if err != nil {
		return err
	}
	r := wire.NewReader(body, p.Order)
	switch {
	case failed && nobody:
		it.Nobody = true
	case failed && already:
	case failed && named:
		it.Err = errors.New(string(r.String()))
	case failed:
		it.Err = errors.New("call failed")
	case it.Serial == ownerSerial:
		if owner := r.String(); r.Done() {
			l.owner = bytes.Clone(owner)
		}
	default:
		it.Body = body
	}
	l.add(it)
	return nil
}

func (l *Link) ownerChanged(body []byte, order binary.ByteOrder) {
	r := wire.NewReader(body, order)
	name, _, owner := r.String(), r.String(), r.String()
	if r.Done() && string(name) == Systemd {
		l.owner = bytes.Clone(owner)
		if len(owner) > 0 {
			l.add(Item{Kind: NewOwner})
		}
	}
}

// nobody reports whether an error says that the name that was called has no
// owner, or lost it before it replied (D-Bus specification, "Errors").
func nobody(name []byte) bool {
	switch string(name) {
	case BusName + ".Error.NameHasNoOwner", BusName + ".Error.ServiceUnknown", BusName + ".Error.NoReply":
		return true
	}
	return false
}

// body returns the body of the message whose header was peeked at, and the buffer that it lies in, and
// removes the message.
func (l *Link) body(p wire.Prefix) ([]byte, *Buffer, error) {
	if err := l.in.skip(p.Header); err != nil {
		return nil, nil, err
	}
	return l.in.take(p.Body)
}

// properties also removes the message, and returns the wanted properties in its body. They are a
// small part of the 14 KB of a unit, so they are copied: then the buffer can be used again.
func (l *Link) properties(p wire.Prefix) ([]byte, error) {
	if err := l.in.skip(p.Header); err != nil {
		return nil, err
	}
	body, err := l.in.peek(p.Body)
	if err != nil {
		return nil, err
	}
	picked := wire.Pick(body, p.Order, l.wanted)
	l.past = len(picked) // the copy keeps no buffer in memory, see add
	return picked, l.in.skip(p.Body)
}

func (l *Link) skip(size int) error { return l.in.skip(size) }

// add adds an item to those that are handed over next.
func (l *Link) add(it Item) {
	it.cost = itemCost + len(it.Body) + min(l.past-len(it.Body), readBuffer) // a body keeps the buffer in which it lies
	l.past = 0
	l.taken = append(l.taken, it)
}

// handOver puts the items into the backlog. If much waits there, the source has its turn before
// more is read. A change whose Service half has come, but not its Unit half, is kept back unless
// all has to go: the Unit half is right behind it, and the Service half alone says nothing. So
// the stages wake up once for both.
func (l *Link) handOver(all bool) (kept bool) {
	if len(l.taken) == 0 {
		return false
	}
	if last := &l.taken[len(l.taken)-1]; !all && last.Kind == Signal && bytes.HasPrefix(last.Body, serviceHalf[last.Order == binary.BigEndian]) {
		return true
	}
	much := l.backlog.put(l.taken)
	clear(l.taken)
	l.taken = l.taken[:0]
	if much {
		runtime.Gosched()
	}
	return false
}

// serviceHalf is how a body of the Service interface begins.
var serviceHalf = map[bool][]byte{
	false: []byte("\x20\x00\x00\x00org.freedesktop.systemd1.Service\x00"),
	true:  []byte("\x00\x00\x00\x20org.freedesktop.systemd1.Service\x00"),
}

func (l *Link) refuse(size int) error {
	l.refused.Add(1)
	return l.skip(size)
}

// A gauge measures how much waits for us in the bus. The bus sends the answer to a question
// behind everything that it held for us when we asked.
type gauge struct {
	read  int // bytes since the last answer
	asked bool
}

// measure counts a message of so many bytes. An error means that messages behind it may be
// missing.
func (l *Link) measure(size int) error {
	l.past += size
	l.gauge.read += size
	switch {
	case l.gauge.read > maxQueued && l.gauge.asked:
		return errQueued
	case l.gauge.read > measureEvery && !l.gauge.asked:
		l.gauge.asked = true
		return l.call(gaugeSerial, BusName, BusPath, BusName, "GetId")
	}
	return nil
}
