package feed

import "service-monitor/stages/row"

// DefaultSocket is in the directory that systemd makes for the monitor (RuntimeDirectory=).
const DefaultSocket = "/run/service-monitor/feed"

// Settings are the configuration of the feed.
type Settings struct {
	Socket string
}

// Rows returns the rows of the keys. They put their values into s.
func (s *Settings) Rows() []row.Row {
	return []row.Row{
		{Key: "feed", Flag: "feed", Value: row.File{Target: &s.Socket, Default: DefaultSocket}},
	}
}
