// Command pagedemo serves the page with services that it makes up. They are told in the words of the real
// commands, by the same code. A path below /demo/ lets something happen: see control.go.
package main

import (
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`address` to serve on")
	name := flag.String("scene", "trouble", "`name` of what to show: "+strings.Join(slices.Sorted(maps.Keys(scenes)), ", "))
	flag.Parse()
	if err := run(*listen, *name); err != nil {
		fmt.Fprintln(os.Stderr, "pagedemo:", err)
		os.Exit(1)
	}
}

func run(address, name string) error {
	make, known := scenes[name]
	if !known {
		return fmt.Errorf("there is no scene %q", name)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", l.Addr()) // the test reads this line
	s := &site{world: make(time.Now()), streams: map[chan message]bool{}}
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}
