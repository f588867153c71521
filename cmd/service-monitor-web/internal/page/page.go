// Package page is the page on which a browser shows how the services are. It is one document, with its
// style, its script and the status in it, so one answer is enough to show everything.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

//go:embed assets
var assets embed.FS

// scripts are the parts of the script, in their order.
var scripts = []string{"words.js", "timeline.js", "list.js", "report.js", "live.js", "page.js"}

// A document is the page without a status: what is before it, and what is after it.
type document struct {
	before, after []byte
	policy        string
}

// newDocument puts the page together.
func newDocument() document {
	var script strings.Builder
	for _, name := range scripts {
		script.WriteString(read(name))
	}
	style := read("page.css")
	text := strings.NewReplacer("<!--style-->", style, "<!--script-->", script.String()).Replace(read("index.html"))
	before, after, _ := strings.Cut(text, "<!--status-->")
	return document{[]byte(before), []byte(after), policy(script.String(), style)}
}

// read returns a part of the page, without what a browser does not need: comments that are lines of their
// own, and indentation. No text in the parts goes over several lines.
func read(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is in this program
	}
	var lean strings.Builder
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimLeft(line, " "); line != "\n" && !strings.HasPrefix(line, "// ") {
			lean.WriteString(line)
		}
	}
	return lean.String()
}

// policy returns the Content-Security-Policy of the page. It allows this script and this style by their
// hashes, and no other ones. Text never becomes HTML, by require-trusted-types-for.
func policy(script, style string) string {
	return "default-src 'none'; script-src '" + hash(script) + "'; style-src '" + hash(style) + "'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Handler serves the page. status returns the present status as JSON, as the page gets it from api/status
// later. If it fails, the page says why.
func Handler(status func() ([]byte, error)) http.Handler {
	d := newDocument()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := status()
		code := http.StatusOK
		if err != nil {
			text, _ = json.Marshal(map[string]string{"error": err.Error()})
			code = http.StatusServiceUnavailable
		}
		var escaped bytes.Buffer
		json.HTMLEscape(&escaped, text) // </script> would end it
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", d.policy)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Length", strconv.Itoa(len(d.before)+escaped.Len()+len(d.after)))
		w.WriteHeader(code)
		if r.Method == http.MethodHead {
			return
		}
		for _, part := range [][]byte{d.before, escaped.Bytes(), d.after} {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
}
