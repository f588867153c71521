//go:build booted

// Package browser tests the page in a real Chromium. The page is that of a demo, which makes up its
// services. A site is only an address and a way to let things happen, so the same tests can run on a real
// service-monitor-web, too.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"service-monitor/test/gateway/gatewaytest"
)

// patience is how long anything may take. The machine may be slow, and nothing is measured by it.
const patience = 5 * time.Minute

var (
	demo   string          // the program that serves the page
	chrome context.Context // a browser for all tests
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if system := os.Getenv(gatewaytest.System); system != "" {
		fmt.Println("the page is the same on each systemd, and is tested on that of this host")
		return 0
	}
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	demo = filepath.Join(dir, "pagedemo")
	if out, err := exec.Command("go", "build", "-o", demo, "service-monitor/cmd/service-monitor-web/internal/page/pagedemo").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %s", err, out)
		return 1
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("headless", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("lang", "en"), chromedp.Flag("hide-scrollbars", true),
	}
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	defer end()
	chrome, end = chromedp.NewContext(ctx)
	defer end()
	if err := chromedp.Do(chrome); err != nil {
		fmt.Fprintf(os.Stderr, "cannot start chromium (apt-get install chromium): %v\n", err)
		return 1
	}
	return m.Run()
}

// A site is a page, and what can be done to the gateway behind it.
type site struct {
	url string
	// do lets something happen: see the paths below /demo/ in control.go of the demo.
	do func(t *testing.T, what string, pairs ...string) (answer string)
}

// open serves a scene of the demo.
func open(t *testing.T, scene string) site {
	t.Helper()
	cmd := exec.Command(demo, "--scene", scene)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := site{url: strings.TrimSpace(line)}
	s.do = func(t *testing.T, what string, pairs ...string) string {
		t.Helper()
		query := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			query.Set(pairs[i], pairs[i+1])
		}
		answer, err := http.Get(s.url + "demo/" + what + "?" + query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s%v", what, answer.Status, text, err)
		}
		return string(text)
	}
	return s
}

// A tab is a tab of the browser.
type tab struct {
	context.Context
	t *testing.T
}

// look says how a page is looked at.
type look struct {
	width, height int64
	dark          bool
	still         bool // prefers-reduced-motion
}

var desk = look{width: 1440, height: 900}

// visit opens a page. What the browser complains about is an error of the test: a script that fails, or
// something that the policy of the page forbids.
func (s site) visit(t *testing.T, l look, path string) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(chrome)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, patience*3)
	t.Cleanup(cancel)
	b := &tab{ctx, t}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("%s: %s", path, details(e.ExceptionDetails))
		case *log.EventEntryAdded:
			if source := e.Entry.Source; source == "security" || source == "violation" || source == "javascript" {
				t.Errorf("%s: %s", path, e.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	scheme, motion := "light", "no-preference"
	if l.dark {
		scheme = "dark"
	}
	if l.still {
		motion = "reduce"
	}
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 600})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}}})
	b.do(chromedp.Navigate(s.url + path))
	return b
}

// details says what went wrong in a script.
func details(e *runtime.ExceptionDetails) string {
	if e.Exception != nil && e.Exception.Description != "" {
		return e.Exception.Description
	}
	return e.Text
}

// call sends a command to the tab.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	answer, err := chromedp.Call(b, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// js returns the value of an expression of JavaScript, which may be a promise.
func js[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func (b *tab) text(expression string) string {
	b.t.Helper()
	return js[string](b, "String("+expression+")")
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	const wait = `new Promise((done) => {
		const end = Date.now() + %d, look = () => { const is = !!(%s); if (is || Date.now() > end) done(is); else setTimeout(look, 10); };
		look();
	})`
	if !js[bool](b, fmt.Sprintf(wait, patience.Milliseconds(), expression)) {
		b.t.Fatalf("it did not become true: %s\nthe page says: %s\nthe server says: %s", expression, b.text("document.body.innerText.slice(0, 3000)"), js[string](b, "fetch('api/status').then((answer) => answer.text(), String)"))
	}
}

// shot keeps a picture of the page. go test -artifacts keeps them after the test.
func (b *tab) shot(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	b.save(name+".png", picture)
}

func (b *tab) save(name string, content []byte) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), content, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// quoted returns a text as a string of JavaScript.
func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// row is the row of a unit, in JavaScript.
func row(unit string) string {
	return fmt.Sprintf("[...document.querySelectorAll('#rows [role=row]')].find((row) => row.dataset.unit === %s)", quoted(unit))
}
