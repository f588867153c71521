// Package prometheus runs Debian's Prometheus for a test.
package prometheus

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Server is a Prometheus that runs until the test ends.
type Server struct {
	t    *testing.T
	base string
}

// A Result is one series of an answer.
type Result struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// Start starts a Prometheus with a configuration, and returns when it is ready. data is the directory of its
// database, which may have something of before.
func Start(t *testing.T, config, data string) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := FreePort(t)
	cmd := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=90d", "--web.listen-address="+address)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; make deps unpacks it", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var said []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "Server is ready") {
			go func() {
				for lines.Scan() { // a full pipe would stop it
				}
			}()
			return &Server{t, "http://" + address}
		}
	}
	t.Fatalf("prometheus has ended:\n%s", strings.Join(said, "\n"))
	return nil
}

// FreePort returns an address of the loopback interface at which nobody listens.
func FreePort(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().String()
}

// Query asks how a query is now.
func (s *Server) Query(expr string) []Result {
	s.t.Helper()
	return s.Ask("/api/v1/query", url.Values{"query": {expr}})
}

// Ask asks the API.
func (s *Server) Ask(path string, values url.Values) []Result {
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
