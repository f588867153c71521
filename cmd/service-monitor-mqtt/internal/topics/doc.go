// Package topics says what is published to an MQTT broker, and on which topics. Its functions are pure: each
// turns something that is known into messages. Nothing here waits, reads a clock or keeps what it was told.
//
// # Schemes
//
// A [Scheme] is a language that consumers understand already:
//
//   - plain has topics of this program's own. Payloads are the JSON that service-monitor prints: a state is an
//     object of status --json without what changes only because time passes, an event is an object of
//     history --json.
//   - thin-edge has the topics of thin-edge.io, which a mapper on the gateway sends on to a cloud.
//   - homeassistant has the topics of plain, and tells Home Assistant how to read them.
//
// # Topics of plain and homeassistant
//
//	service-monitor/GATEWAY/status      retained: whether this gateway is online, and how its monitor is
//	service-monitor/GATEWAY/event       an event of no unit: of the monitor itself, of the clock, of a gap
//	service-monitor/GATEWAY/UNIT/state  retained: how the unit is
//	service-monitor/GATEWAY/UNIT/event  an event of the unit
//	service-monitor/GATEWAY/UNIT/crash  what a run wrote before it crashed
//
// With short names they are sm/GATEWAY/s, sm/GATEWAY/e, sm/GATEWAY/UNIT/s, …/e and …/c, and the keys in the
// payloads are those of [CompactKeys].
//
// # Repeats
//
// Messages come at least once and in their order. A consumer drops repeats: two events with the same boot_id,
// seq, kind and invocation are one event. Seq alone is not enough, for one record of the history can be
// several events, which differ in kind. A message of kind "lost" is no event of the history. It has no seq,
// and only its time tells it from another one.
package topics
