package page

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// serve returns the answer to a request for the page.
func serve(method, status string, err error) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Handler(func() ([]byte, error) { return []byte(status), err }).ServeHTTP(w, httptest.NewRequest(method, "/", nil))
	return w
}

// between returns the text between two others.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, text, begins := strings.Cut(text, from)
	text, _, ends := strings.Cut(text, to)
	if !begins || !ends {
		t.Fatalf("nothing between %q and %q", from, to)
	}
	return text
}

// A browser runs the script and takes the style only if the header has their hashes.
func TestPolicy(t *testing.T) {
	w := serve(http.MethodGet, `{"monitor":{},"units":[]}`, nil)
	policy, text := w.Header().Get("Content-Security-Policy"), w.Body.String()
	for _, want := range []string{
		"default-src 'none'", "script-src '" + hash(between(t, text, "<script>", "</script>")) + "'", "style-src '" + hash(between(t, text, "<style>", "</style>")) + "'",
		"connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	for _, bad := range []string{"unsafe", "http:", "https:", "*"} {
		if strings.Contains(policy, bad) {
			t.Errorf("%s in %s", bad, policy)
		}
	}
}

// The page has everything in it, so nothing is loaded from elsewhere. What would need a handler in an
// attribute, or HTML made of text, is not there.
func TestOneDocument(t *testing.T) {
	text := serve(http.MethodGet, `{}`, nil).Body.String()
	for _, bad := range []string{"<script src", `rel="stylesheet"`, "@import", "url(http", "https://", " onclick=", " style=", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "<!--"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if addresses := strings.Count(text, "http://"); addresses != strings.Count(text, "http://www.w3.org/2000/svg") {
		t.Error("the page names another address than the name space of SVG")
	}
	if n := len(text); n > 100<<10 {
		t.Errorf("the page has %d bytes", n)
	}
}

// Nothing in the status ends the script element that it is in.
func TestEscaped(t *testing.T) {
	text := serve(http.MethodGet, `{"units":[{"unit":"</script><script>alert(1)</script><!--&\u2028"}]}`, nil).Body.String()
	status := between(t, text, `<script type="application/json" id="status">`, "</script>")
	if strings.ContainsAny(status, "<>&\u2028") || !strings.Contains(status, `\u003c/script\u003e`) {
		t.Error(status)
	}
	if n := strings.Count(text, "</script>"); n != 2 {
		t.Errorf("%d scripts end", n)
	}
}

// If the status cannot be read, the page says why.
func TestFailure(t *testing.T) {
	w := serve(http.MethodGet, "", errors.New("cannot read </script>"))
	if text := w.Body.String(); w.Code != http.StatusServiceUnavailable || !strings.Contains(text, `id="status">{"error":"cannot read \u003c/script\u003e"}</script>`) {
		t.Errorf("%d: %s", w.Code, text)
	}
}

// HEAD has the headers of GET, and no page.
func TestHead(t *testing.T) {
	get, head := serve(http.MethodGet, "{}", nil), serve(http.MethodHead, "{}", nil)
	if head.Body.Len() > 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") || get.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v and %v", get.Header(), head.Header())
	}
}
