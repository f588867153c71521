package decode

import (
	"encoding/binary"
	"encoding/hex"
	"errors"

	"service-monitor/stages/bus/wire"
)

// An Invocation names one run of a unit. It is systemd's InvocationID, which is zero if the unit has
// not run since it was loaded (systemd.exec(5), "INVOCATION_ID").
type Invocation [16]byte

// IsZero reports whether there is no invocation.
func (i Invocation) IsZero() bool { return i == Invocation{} }

// String returns the 32 hexadecimal digits that the journal shows, or "" for no invocation.
func (i Invocation) String() string {
	if i.IsZero() {
		return ""
	}
	return hex.EncodeToString(i[:])
}

// MarshalText returns String.
func (i Invocation) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (i *Invocation) UnmarshalText(text []byte) error {
	*i = Invocation{}
	if len(text) == 0 {
		return nil
	}
	if len(text) != 2*len(i) {
		return errors.New("an invocation has 32 hexadecimal digits")
	}
	_, err := hex.Decode(i[:], text)
	return err
}

// Properties are what matters of a service (org.freedesktop.systemd1(5)). Changes announce those up
// to Job in their Unit half, and the others in their Service half.
type Properties struct {
	Name        string     `json:"name,omitempty"`       // Id; only snapshots have it
	LoadState   string     `json:"load_state,omitempty"` // only snapshots have it
	ActiveState string     `json:"active_state"`
	SubState    string     `json:"sub_state"`
	Invocation  Invocation `json:"invocation,omitzero"`
	// Entered is StateChangeTimestampMonotonic: when the unit entered the state, in µs since boot.
	Entered uint64 `json:"state_entered,omitzero"`
	// InactiveEnter is InactiveEnterTimestampMonotonic: when the unit last became inactive or failed.
	// When a failed unit is reset, it enters a state, but does not become inactive. Only snapshots have
	// it.
	InactiveEnter uint64 `json:"left,omitzero"`
	// LeftInactive is true if the unit has left the state inactive or failed since its last run ended:
	// for the wait before a restart, or for systemctl clean. Only snapshots have it.
	LeftInactive bool `json:"reentered,omitzero"`
	// Cleanable is true if the unit has directories that systemctl clean may remove. Only snapshots have
	// it.
	Cleanable bool `json:"cleanable,omitzero"`
	// CleanFailed is true if the last systemctl clean has failed and systemd was not reloaded since. Only
	// snapshots have it.
	CleanFailed bool   `json:"clean_failed,omitzero"`
	Job         uint32 `json:"job,omitzero"` // the job that is to start or stop the unit, 0 for none

	Result     string `json:"result,omitempty"`
	NRestarts  uint32 `json:"n_restarts,omitzero"`
	MainCode   int32  `json:"code,omitzero"`   // ExecMainCode: a CLD_ code of waitid(2), 0 while unknown
	MainStatus int32  `json:"status,omitzero"` // ExecMainStatus: exit code or signal number
}

// NotLoaded is the state of a unit that systemd does not have. It is our own word: systemd calls such
// a unit inactive and not found.
const NotLoaded = "unloaded"

// State returns ActiveState, or NotLoaded.
func (p *Properties) State() string {
	if p.LoadState == "not-found" && p.ActiveState == "inactive" {
		return NotLoaded
	}
	return p.ActiveState
}

// A walker reads bodies. There are only a few states and results. It keeps their strings, so that
// reading one again allocates nothing.
type walker struct {
	words map[string]string
}

// maxWords limits how many strings are kept. systemd has about sixty states and results.
const maxWords = 256

func (w *walker) word(b []byte) string {
	if s, ok := w.words[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(w.words) < maxWords {
		w.words[s] = s
	}
	return s
}

// A half is the interface that a body is of.
type half uint8

const (
	otherHalf half = iota
	unitHalf
	serviceHalf
)

// changed reads the body sa{sv}as of PropertiesChanged into p.
func (w *walker) changed(body []byte, order binary.ByteOrder, p *Properties) (half, error) {
	r := wire.NewReader(body, order)
	of := otherHalf
	switch string(r.String()) {
	case "org.freedesktop.systemd1.Unit":
		of = unitHalf
	case "org.freedesktop.systemd1.Service":
		of = serviceHalf
	}
	w.dict(&r, p)
	for end := r.Array(4); r.More(end); {
		r.String()
	}
	return of, done(&r)
}

// snapshot reads the body a{sv} of a reply to GetAll into p.
func (w *walker) snapshot(body []byte, order binary.ByteOrder, p *Properties) error {
	r := wire.NewReader(body, order)
	t := w.dict(&r, p)
	p.LeftInactive = t.inactiveExit > max(t.activeExit, t.mainExit)
	return done(&r)
}

// These are times at which a unit changed, in µs since boot.
type times struct {
	inactiveExit uint64 // it left the state inactive or failed
	activeExit   uint64 // it left the state active
	mainExit     uint64 // its main process ended
}

func done(r *wire.Reader) error {
	if !r.Done() {
		return wire.ErrMalformed
	}
	return nil
}

// dict reads an a{sv}. Each name that matters is in only one of the interfaces of a service,
// so a snapshot of all interfaces is not ambiguous.
func (w *walker) dict(r *wire.Reader, p *Properties) (t times) {
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		name, sig := r.String(), r.Variant()
		if !w.ofUnit(r, name, sig, p) && !w.ofService(r, name, sig, p) && !t.read(r, name, sig) {
			r.Skip(sig)
		}
	}
	return t
}

// ofUnit reads a value that every unit has. It reports whether it knows the name.
func (w *walker) ofUnit(r *wire.Reader, name, sig []byte, p *Properties) bool {
	switch string(name) {
	case "Id":
		if expect(r, sig, "s") {
			p.Name = string(r.String())
		}
	case "LoadState":
		w.text(r, sig, &p.LoadState)
	case "ActiveState":
		w.text(r, sig, &p.ActiveState)
	case "SubState":
		w.text(r, sig, &p.SubState)
	case "InvocationID":
		invocation(r, sig, &p.Invocation)
	case "StateChangeTimestampMonotonic":
		number(r, sig, &p.Entered)
	case "InactiveEnterTimestampMonotonic":
		number(r, sig, &p.InactiveEnter)
	case "Job":
		if expect(r, sig, "(uo)") {
			r.Align(8)
			p.Job = r.Uint32()
			r.String() // its path
		}
	case "CanClean":
		if expect(r, sig, "as") {
			for end := r.Array(4); r.More(end); r.String() {
				p.Cleanable = true
			}
		}
	default:
		return false
	}
	return true
}

// ofService reads a value that only a service has. It reports whether it knows the name.
func (w *walker) ofService(r *wire.Reader, name, sig []byte, p *Properties) bool {
	switch string(name) {
	case "Result":
		w.text(r, sig, &p.Result)
	case "CleanResult":
		if expect(r, sig, "s") {
			p.CleanFailed = string(r.String()) != "success"
		}
	case "NRestarts":
		if expect(r, sig, "u") {
			p.NRestarts = r.Uint32()
		}
	case "ExecMainCode":
		if expect(r, sig, "i") {
			p.MainCode = r.Int32()
		}
	case "ExecMainStatus":
		if expect(r, sig, "i") {
			p.MainStatus = r.Int32()
		}
	default:
		return false
	}
	return true
}

// read reads one of these times. It reports whether it knows the name.
func (t *times) read(r *wire.Reader, name, sig []byte) bool {
	switch string(name) {
	case "InactiveExitTimestampMonotonic":
		number(r, sig, &t.inactiveExit)
	case "ActiveExitTimestampMonotonic":
		number(r, sig, &t.activeExit)
	case "ExecMainExitTimestampMonotonic":
		number(r, sig, &t.mainExit)
	default:
		return false
	}
	return true
}

// expect reports whether a variant holds the type that the property has. A wrong type makes the whole
// body malformed.
func expect(r *wire.Reader, sig []byte, want string) bool {
	if string(sig) == want {
		return true
	}
	r.Fail()
	return false
}

func number(r *wire.Reader, sig []byte, to *uint64) {
	if expect(r, sig, "t") {
		*to = r.Uint64()
	}
}

func (w *walker) text(r *wire.Reader, sig []byte, to *string) {
	if expect(r, sig, "s") {
		*to = w.word(r.String())
	}
}

func invocation(r *wire.Reader, sig []byte, to *Invocation) {
	if !expect(r, sig, "ay") {
		return
	}
	switch b := r.Bytes(); len(b) {
	case 0:
		*to = Invocation{}
	case len(to):
		copy(to[:], b)
	default:
		r.Fail()
	}
}
