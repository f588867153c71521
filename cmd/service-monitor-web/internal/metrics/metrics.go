// Package metrics tells the status of all units as metrics for Prometheus. It is pure: one status makes
// one set of metrics, and nothing is kept from one scrape to the next. The counts are those of the state
// file, so nothing that happens between two scrapes is missing in them.
//
// What is not known is absent. A zero means that it was counted, and that it came to nothing.
package metrics

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/prometheus/common/expfmt"

	"service-monitor/cmd/internal/tell"
)

// Options say which metrics are wanted.
type Options struct {
	// Version is the version of this program.
	Version string
	// NoUnitStates leaves out the states and the healths, of which each unit has a dozen and a half.
	NoUnitStates bool
	// SystemdExporter adds metrics under the names that systemd_exporter has for them.
	SystemdExporter bool
}

// text is the format for whoever asks for none, and of a file that node_exporter reads.
var text = expfmt.NewFormat(expfmt.TypeTextPlain)

// formats are those that there are. The first one is for whoever takes any.
var formats = []expfmt.Format{text, openMetrics("1.0.0"), openMetrics("0.0.1")}

func openMetrics(version string) expfmt.Format {
	f, _ := expfmt.NewOpenMetricsFormat(version) // these versions are known
	return f
}

// Handler returns a handler that tells the metrics of what status returns.
func Handler(status func(context.Context) (*tell.Status, error), o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		format := expfmt.NegotiateAccept(r.Header, formats...)
		var b bytes.Buffer
		if err := write(&b, s, o, format); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", string(format))
		_, _ = w.Write(b.Bytes()) // whoever has left needs no answer
	})
}

// Write writes the metrics of a status in the text format.
func Write(w io.Writer, s *tell.Status, o Options) error { return write(w, s, o, text) }

// write writes the metrics of a status, one after the other.
func write(w io.Writer, s *tell.Status, o Options, format expfmt.Format) error {
	c := collector{s, o}
	encoder := expfmt.NewEncoder(w, format)
	for _, m := range inOrder {
		if family := c.family(m); len(family.Metric) > 0 {
			if err := encoder.Encode(family); err != nil {
				return err
			}
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		return closer.Close() // OpenMetrics has a last line
	}
	return nil
}
