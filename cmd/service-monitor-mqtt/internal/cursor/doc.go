// Package cursor keeps how far the broker has acknowledged the chronicle.
//
// The cursor is in two places. The volatile place is a file on a tmpfs. It is written at every step and
// survives kill -9. The durable place is a file on flash. It is written rarely, because flash wears out,
// and it survives a power cut.
//
// Promises:
//
//   - A position that is read is never newer than one that was given to Moved, so nothing is left
//     unpublished. It may be older, and then some events are published again. Consumers drop them.
//   - After kill -9 it is the last position that was given to Moved. If there is no volatile place, and
//     after a power cut, it is at least as new as that of the last Save that has returned.
//   - At most 1 MB a day reaches the device, however often the cursor moves, for up to 5,000 units.
//   - A file that cannot be read is kept for people to look at. One of a newer version is left alone.
package cursor
