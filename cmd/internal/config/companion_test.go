package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"service-monitor/stages/row"
)

// TestCompanion wants the monitor to leave the keys of a companion alone, and the companion to check them.
func TestCompanion(t *testing.T) {
	for _, tt := range []struct{ name, text, monitor, companion string }{
		{"good", `{"mqtt_rate": 7, "debug": true}`, "", ""},
		{"wrong", `{"mqtt_rate": 0}`, "", "config.json:1: mqtt_rate must be from 1 to 9, found the number 0"},
		{"misspelt", `{"mqtt_rat": 7}`, "", `config.json:1: unknown key "mqtt_rat"; did you mean "mqtt_rate"?`},
		{"twice", `{"mqtt_rate": 7, "mqtt_rate": 7}`, "", `config.json:1: the key "mqtt_rate" is there twice, first in line 1; remove one`},
		{"together", `{"mqtt_rate": 9}`, "", "config.json: nine is too many"},
		{"of the monitor", `{"debag": true}`, `config.json:1: unknown key "debag"; did you mean "debug"?`, `config.json:1: unknown key "debag"; did you mean "debug"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("config.json", []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			rate := 0
			own := &Companion{
				Rows: []row.Row{{Key: "mqtt_rate", Value: row.Int{Target: &rate, Default: 5, Least: 1, Most: 9}}},
				Check: func() error {
					if rate == 9 {
						return errors.New("nine is too many")
					}
					return nil
				},
			}
			for _, as := range []struct {
				own  *Companion
				want string
			}{{nil, tt.monitor}, {own, tt.companion}} {
				_, err := Load(Source{File: "config.json", Named: true, Companion: as.own})
				if got := message(err); filepath.Base(got) != as.want && got != as.want {
					t.Errorf("as companion %v (-want +got):\n-%s\n+%s", as.own != nil, as.want, got)
				}
			}
			if tt.name == "good" && rate != 7 {
				t.Errorf("the rate is %d, want 7", rate)
			}
		})
	}
}
