package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/service-monitor-mqtt/internal/broker"
	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/publish"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// runtimeDirectory is what systemd makes for RuntimeDirectory= of the unit. It stays over a stop.
const runtimeDirectory = "/run/service-monitor-mqtt"

// A client knows how to connect to the broker, and in which words to speak to it.
type client struct {
	options broker.Options
	scheme  topics.Scheme
	under   string
}

func (o *options) client() (*client, error) {
	t, err := o.topics()
	if err != nil {
		return nil, fmt.Errorf("%w%w", err, asConfig)
	}
	scheme, err := topics.New(o.scheme, t)
	if err != nil {
		return nil, err
	}
	secrets, err := broker.ReadCredentials(os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return nil, err
	}
	c := &client{scheme: scheme, under: publish.Under(o.scheme, t)}
	c.options = broker.Options{Settings: o.Settings, Credentials: secrets, ClientID: "service-monitor-" + t.Gateway}
	if births := scheme.Births(); births != "" {
		c.options.Subscribe = []string{births}
	}
	return c, nil
}

func (c *client) connect(ctx context.Context, will topics.Message, heard func(topics.Message)) (publish.Conn, error) {
	o := c.options
	o.Will, o.Heard = will, heard
	conn, err := broker.Connect(ctx, o)
	if err != nil {
		return nil, err // not a nil *broker.Conn, which is no nil Conn
	}
	return conn, nil
}

func (c *client) explain(err error) string { return broker.Explain(err, c.options.Settings) }

// tryBroker connects once. Another client ID keeps it from taking the place of the running program.
func (o *options) tryBroker(stdout io.Writer) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	c.options.ClientID += "-check"
	c.options.Heard = func(topics.Message) {}
	ctx := context.Background()
	conn, err := broker.Connect(ctx, c.options)
	if err != nil {
		return fmt.Errorf("%s%w", c.explain(err), silent{errBroker})
	}
	conn.Close(ctx)
	_, err = fmt.Fprintf(stdout, "connected to %s: the broker can be used\n", o.URL)
	return err
}

// clear removes what the broker has retained of this gateway. Only the cursor knows of which units there
// are messages. So it works for the service's own cursor, if root calls it.
func (o *options) clear(stdout io.Writer) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	if err := cursor.Become(o.cursor); err != nil {
		return err
	}
	file, at, err := cursor.Open(o.cursor, cmp.Or(os.Getenv("RUNTIME_DIRECTORY"), runtimeDirectory))
	switch {
	case errors.Is(err, cursor.ErrHeld):
		return fmt.Errorf("%w; stop the service before (systemctl stop service-monitor-mqtt)", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; name the directory of the service's cursor with --cursor", err)
	case err != nil:
		return err
	}
	return errors.Join(c.clear(stdout, file, at), file.Close())
}

// clear clears what is retained as of a cursor.
func (c *client) clear(stdout io.Writer, file *cursor.File, at cursor.Position) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c.options.Heard = func(topics.Message) {}
	conn, err := broker.Connect(ctx, c.options)
	if err != nil {
		return fmt.Errorf("%s%w", c.explain(err), silent{errBroker})
	}
	defer conn.Close(ctx)
	if _, err = conn.Publish(ctx, publish.Clear(c.scheme, at)); err != nil {
		return fmt.Errorf("%s%w", c.explain(err), silent{errBroker})
	}
	units := len(at.Units)
	at.Units, at.Under = nil, ""
	_ = file.Moved(at) // it is saved at once, so it need not be in memory
	if err := file.Save(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "the broker has nothing retained of %d units and of this gateway any more\n", units)
	return err
}

// asConfig makes an error one of the configuration, without a word.
var asConfig = silent{config.ErrConfig}

// A silent error chooses the exit code, and says nothing.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }
