// Package pipeline runs a graph of stages: independent goroutines joined by
// typed streams, with one life and one health.
//
//	config ──lists──▶ bus ──signals──▶ decode ──updates──▶ classify ──transitions──▶ count ──events──┬──(latest)──▶ persist
//	                   ▲                                      │                                      └─────────────▶ logsink
//	                   └───────────────doubts─────────────────┘
//
// The package knows no stage; the graph above is wired in cmd/service-monitor. The arrow
// that goes back is no stream but a call that never blocks: a stream would close a
// circle of stages that wait for each other.
//
// # Streams
//
// A [Stream] is what one stage sends and any number of stages receive. Each
// receiver has an edge of its own, of one of three kinds:
//
//   - Lossless, if nothing else is said: the sender waits until the receiver has taken
//     the messages. So at most [BatchSize] of them are between two stages, and order is kept.
//   - Behind [Latest], the newest message of each key waits for the receiver, in the
//     order of the keys. The sender does not wait.
//   - Behind [Cut], a bounded number of messages waits for the receiver, in order. The
//     sender does not wait. A receiver that is too slow is cut off: the end of its stream
//     tells it so, and it begins anew. What it has missed is counted.
//
// There is no fourth kind. Nothing is dropped silently.
//
// Messages are sent and received some at a time: as many as there are. In a storm,
// to wake the next stage for each of them would cost more than all that is done
// with them. A stage sends what it has before it waits in its select again, and a
// batch is its receiver's until that receives the next.
//
// Only this package makes and closes streams. A stage's output is closed when
// its Run has returned for good.
//
// # Life
//
// Stop travels by closing: the first stage ends when its context does, and
// every other stage ends when its input is closed and all that it owes is
// sent. So whatever was received is counted, logged and saved. Abort travels
// by cancelling: when a stage fails, or when a stop is not complete after
// [DrainLimit], the context of every stage is cancelled, and [Graph.Run] says
// which stage failed or was left.
//
// # Outlets
//
// What a stage writes to may be slow, full or gone: a disk, a socket, a broker. Such a
// stage writes through an [Outlet], or a [Queue] where it collects items to write:
//
//   - One write at a time runs beside the stage's loop ([Aside]), so the stage goes on to
//     receive and to answer. No disk is a reason for the watchdog: to start anew would
//     not make it faster, and meanwhile nobody would watch.
//   - What waits in a queue is bounded. What comes when it is full is counted, and
//     written down as missing in its place.
//   - What has failed is tried again, less and less often. That it fails, or takes too
//     long, is reported at most once a minute, and stands in STATUS= as long as it lasts.
//   - The start of the monitor waits for what the stage owes, but not for a world that
//     has trouble.
//   - When the input has ended, all that is left is written. A last try that fails
//     ends the stage with its error. A write that does not end is left behind at
//     [DrainLimit], with the name of its stage.
//
// So a stuck outlet holds up no other stage.
//
// # Health
//
// Every stage answers a [Probe] in its own select, the one in which it does
// its work; a stage that waits to send answers there. So an answer means that
// the loop turns, and a stall is blamed on the stage that stalls, not on the
// ones that wait for it.
//
// A round asks every stage once, from the first to the last. WATCHDOG=1
// follows each complete round; rounds are begun every third of WATCHDOG_USEC.
// A round that is not complete within that time names the stage in STATUS= and
// in the log and sends no WATCHDOG=1: whether to restart is systemd's decision
// (sd_watchdog_enabled(3)).
//
// READY=1 follows the first settled round: each stage in turn has answered
// from its own select (not while waiting to send) that it owes nothing, and nothing waits
// behind [Latest]. Lossless edges hold nothing. So all that was known when the first
// stage answered has passed through every stage, but for those behind [Cut], which
// nothing waits for. A reload is told the same way: RELOADING=1, and READY=1 after the
// next settled round.
//
// As long as rounds are complete, a start may take its time: EXTEND_TIMEOUT_USEC=
// is told now and then until READY=1.
//
// Each answer carries the stage's part of the STATUS= line, so that no state
// is shared for it. A stage whose part has changed asks for a round with
// [Port.Nudge]; such rounds are at least [StatusGap] apart. Nothing else wakes
// an idle pipeline.
package pipeline
