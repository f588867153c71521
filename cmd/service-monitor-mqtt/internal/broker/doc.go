// Package broker is one connection to an MQTT broker: Connect, Publish, Close. Who reconnects, and when, is
// the caller's affair.
//
// Connect uses MQTT 5 with a clean start and without a session on the broker: what the broker has
// acknowledged is remembered here, in the chronicle and the cursor, and not by the broker.
//
// Publish sends messages in order, and does not wait for an acknowledgement before it sends the next one.
//
// An idle connection costs one PINGREQ and one PINGRESP per keep-alive, two and two bytes, and nothing else:
// no ticker, no TCP keep-alive. Over a cellular link each packet is paid for.
package broker
