package broker

import (
	"fmt"

	"service-monitor/stages/row"
)

// failure is the first reason code that is an error (MQTT 5, 2.4).
const failure = 0x80

// A saidError is what the broker itself says.
type saidError struct {
	what string // "refuses the connection"
	code byte
	text string // the broker's own words, which it may leave out
}

func newSaidError(what string, code byte, text string) saidError {
	return saidError{what, code, text}
}

func (e saidError) Error() string {
	text := fmt.Sprintf("the broker %s: %s", e.what, reason(e.code))
	if e.text != "" {
		text += " (" + row.Quote(e.text) + ")"
	}
	return text
}

// reasons are the names of the reason codes in MQTT 5, 2.4.
var reasons = map[byte]string{
	0x04: "it shall publish our will",
	0x80: "unspecified error",
	0x81: "malformed packet",
	0x82: "protocol error",
	0x83: "implementation specific error",
	0x84: "unsupported protocol version",
	0x85: "client identifier not valid",
	0x86: "bad user name or password",
	0x87: "not authorized",
	0x88: "server unavailable",
	0x89: "server busy",
	0x8a: "banned",
	0x8b: "server shutting down",
	0x8c: "bad authentication method",
	0x8d: "keep alive timeout",
	0x8e: "session taken over",
	0x8f: "topic filter invalid",
	0x90: "topic name invalid",
	0x91: "packet identifier in use",
	0x93: "receive maximum exceeded",
	0x95: "packet too large",
	0x96: "message rate too high",
	0x97: "quota exceeded",
	0x98: "administrative action",
	0x99: "payload format invalid",
	0x9a: "retain not supported",
	0x9b: "QoS not supported",
	0x9c: "use another server",
	0x9d: "server moved",
	0x9f: "connection rate exceeded",
	0xa0: "maximum connect time",
	0xa2: "wildcard subscriptions not supported",
}

func reason(code byte) string {
	if text, ok := reasons[code]; ok {
		return text
	}
	return fmt.Sprintf("reason 0x%02x", code)
}
