package servers

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A Prometheus runs until the test ends.
type Prometheus struct {
	t    *testing.T
	base string
}

// A Result is one series of an answer.
type Result struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// StartPrometheus starts a Prometheus with a configuration, and returns when it is ready. data is the directory of
// its database, which may have something of before.
func StartPrometheus(t *testing.T, config, data string) *Prometheus {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := FreeAddress(t)
	p := start(t, "Server is ready", "prometheus", "--config.file="+file, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=90d", "--web.listen-address="+address)
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	return &Prometheus{t, "http://" + address}
}

// Query asks how a query is now.
func (s *Prometheus) Query(expr string) []Result {
	s.t.Helper()
	return s.Ask("/api/v1/query", url.Values{"query": {expr}})
}

// Ask asks the API.
func (s *Prometheus) Ask(path string, values url.Values) []Result {
	s.t.Helper()
	answer, err := http.Get(s.base + path + "?" + values.Encode())
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var told struct {
		Status, Error string
		Data          struct{ Result []Result }
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil || told.Status != "success" {
		s.t.Errorf("%v: %v %s", values, err, told.Error)
	}
	return told.Data.Result
}
