// Package pipeline runs a graph of stages: independent goroutines joined by
// typed streams, with one life and one health.
//
//	config ─lists─▶ bus ─signals─▶ decode ─updates─▶ classify ─transitions─▶ count ─events─┬─(latest)─▶ persist
//	                 ▲                                  │                                  ├─(latest)─▶ blackbox
//	                 │                                  │                                  ├─(latest)─▶ feed ◀─(cut)─┐
//	                 └──────────────doubts──────────────┘                                  ├──────────▶ chronicle ─records
//	                                                                                       └──────────▶ logsink
//
// The package knows no stage. The graph above is wired in cmd/service-monitor. The arrow that
// goes back is not a stream but a call that never blocks: with a stream, the stages would
// form a circle and could wait for each other for ever.
//
// # Streams
//
// A [Stream] carries the messages of one stage to any number of receivers. Each receiver
// has an edge of its own. There are three kinds of edge:
//
//   - Lossless is the usual kind: the sender waits until the receiver has taken the
//     messages. So at most [BatchSize] messages are between two stages, in order.
//   - [Latest] keeps the newest message of each key for the receiver. The keys are in the
//     order in which they came. The sender does not wait.
//   - [Cut] keeps a bounded number of messages for the receiver, in order. The sender does
//     not wait. A receiver that is too slow is cut off: its stream ends, and it begins
//     anew. The messages that it has missed are counted.
//
// There is no fourth kind. Nothing is dropped silently.
//
// A stage that needs the messages of two others has a [Second] input.
//
// Messages are sent in batches of as many as there are. In a storm, waking the next stage for
// each message would cost more than all the work on the messages. A stage sends what it has
// before it waits in its select again. A batch belongs to its receiver until the receiver
// receives the next one.
//
// Only this package makes and closes streams. It closes a stage's output when the stage's
// Run has returned for good.
//
// # Life
//
// A stop travels by closing streams. The first stage ends when its context is done. Every
// other stage ends when its input is closed and it has sent all that it still had to send.
// So whatever was received is counted, logged and saved.
//
// An abort travels by cancelling. If a stage fails, or if a stop is not complete after
// [DrainLimit], the context of every stage is cancelled. The error of [Graph.Run] names the
// stage that has failed or has not ended.
//
// # Outlets
//
// A stage may write to something that is slow, full or gone: a disk, a socket, a broker. Such
// a stage writes through an [Outlet], or through a [Queue] if it collects items to write:
//
//   - One write at a time runs beside the stage's loop ([Aside]). So the stage goes on to
//     receive messages and to answer probes. A slow disk never triggers the watchdog: a
//     restart would not make the disk faster, and meanwhile nobody would watch.
//   - A queue is bounded. Items that come when it is full are dropped and counted. An item
//     in their place says how many are missing.
//   - A write that has failed is tried again, less and less often. A write that fails or
//     takes too long is reported at most once a minute, and in STATUS= as long as it lasts.
//   - READY=1 waits for the writes under way, but not for a write that fails or takes too
//     long.
//   - Failed writes are counted. Anybody may read the number, and that wakes nobody.
//   - When the input has ended, all that is left is written. If the last attempt fails, the
//     stage ends with that error. A write that does not end is abandoned at [DrainLimit],
//     and the error names its stage.
//
// So a stuck outlet holds up no other stage.
//
// # Health
//
// Every stage answers a [Probe] in its own select, in which it does its work. While a stage
// waits to send, [Port.Send] answers. So an answer means that the loop of the stage runs. If
// a stage hangs, that stage is named, and not the ones that wait for it.
//
// A round asks every stage once, from the first to the last. Rounds begin every third of
// WATCHDOG_USEC. WATCHDOG=1 follows each complete round. If a round is not complete within
// that time, STATUS= and the log name the stage, and there is no WATCHDOG=1. systemd then
// decides whether to restart (sd_watchdog_enabled(3)). [Graph.Stalls] counts how often
// that was so.
//
// READY=1 follows the first settled round. In a settled round each stage has answered from
// its own select, and not from Send, that it does not delay READY=1, and no [Latest] edge
// keeps a message. Lossless edges hold nothing. So all that was known when the first stage
// answered has passed through every stage. Stages behind [Cut] are an exception: nothing
// waits for them. A reload works the same way: RELOADING=1 at its beginning, and READY=1
// after the next settled round.
//
// A start may take long as long as rounds are complete: until READY=1,
// EXTEND_TIMEOUT_USEC= is sent now and then.
//
// Each answer has the stage's part of the STATUS= line, so that stages share no state for
// it. A stage whose part has changed asks for a round with [Port.Nudge]. Such rounds are at
// least [StatusGap] apart. Nothing else wakes an idle pipeline.
package pipeline
