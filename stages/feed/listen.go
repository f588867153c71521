package feed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
)

// errFull is returned if the monitor disconnects each new listener at once.
var errFull = errors.New("so many listen to the monitor already that there is no room for more")

// longest is how many bytes a line may have.
const longest = 1 << 20

// Listen calls tell for each message of a feed, until tell returns false, the monitor ends, or ctx
// is done. If the monitor ends, that is no error.
func Listen(ctx context.Context, socket string, tell func(Message) bool) error {
	conn, err := dial(ctx, socket)
	if err != nil {
		return err
	}
	return hear(ctx, conn, tell)
}

// Follow does as Listen does, but it waits for a monitor if there is none, and for the next one if
// the monitor ends. Each time before it waits, it calls away. If away returns an error, Follow
// returns that error.
func Follow(ctx context.Context, socket string, tell func(Message) bool, away func(reason error) error) error {
	for refused := 0; refused < 2; refused++ {
		conn, err := await(ctx, socket, away)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		enough := false
		err = hear(ctx, conn, func(m Message) bool {
			refused = -1
			enough = !tell(m)
			return !enough
		})
		if err != nil || enough || ctx.Err() != nil {
			return err
		}
	}
	return errFull
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}

// hear calls tell for each line. The stream may end within a line. Such a part is left out.
func hear(ctx context.Context, conn net.Conn, tell func(Message) bool) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, longest)
	lines.Split(func(data []byte, _ bool) (int, []byte, error) {
		line, _, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return 0, nil, nil
		}
		return len(line) + 1, line, nil
	})
	for lines.Scan() {
		var m Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("the feed %s is not one of this monitor: %w", conn.RemoteAddr(), err)
		}
		if !tell(m) {
			return nil
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return nil // also if the connection was reset
}
