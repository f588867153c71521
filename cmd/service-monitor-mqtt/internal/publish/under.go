package publish

import (
	"encoding/json"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// under is what decides under which topics messages are retained.
type under struct {
	Scheme  string `json:"scheme"`
	Gateway string `json:"gateway"`
	Prefix  string `json:"prefix,omitempty"`
	Compact bool   `json:"compact,omitempty"`
}

// Under returns a text that says where the retained messages of a scheme are. If it is another one than
// before, those of before are cleared.
func Under(scheme string, o topics.Options) string {
	text, _ := json.Marshal(under{scheme, o.Gateway, o.DiscoveryPrefix, o.Compact}) // it can be encoded
	return string(text)
}

// schemeUnder returns the scheme of such a text.
func schemeUnder(text string) (topics.Scheme, error) {
	var u under
	if err := json.Unmarshal([]byte(text), &u); err != nil {
		return nil, err
	}
	return topics.New(u.Scheme, topics.Options{Gateway: u.Gateway, DiscoveryPrefix: u.Prefix, Compact: u.Compact})
}
