package feed

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"service-monitor/stages/count"
)

// A unit from before there was a feed makes no directory for the socket. Without a unit, nobody needs
// to know.
func TestNoDirectory(t *testing.T) {
	if _, err := os.Stat(filepath.Dir(DefaultSocket)); err == nil {
		t.Skip("this machine has the directory of the default socket")
	}
	for _, tt := range []struct{ notify, want string }{
		{"", ""},
		{"/run/systemd/notify", "let the unit make it (RuntimeDirectory=service-monitor"},
	} {
		t.Setenv("NOTIFY_SOCKET", tt.notify)
		b := start(t, DefaultSocket)
		b.stop()
		if got := b.log.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("NOTIFY_SOCKET=%s: the log is %q, want %q", tt.notify, got, tt.want)
		}
	}
}

// TestLeftSocket wants the socket that a killed monitor has left to be replaced.
func TestLeftSocket(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	b := start(t, left, tally("a.service", 1))
	if all := b.listen(func(_ map[string]*count.Tally, m Message) bool { return m.Complete }); len(all) != 1 {
		t.Errorf("%v", all)
	}
}
