package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	ctx := context.Background()
	binds, err := build("build/service-monitor", "build/bench")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	s, err := bootSite(ctx, binds, nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer s.Close()
	for range 2 {
		for _, c := range contestants {
			err := s.storm(ctx, c, 12, 100000, func(n string, v float64) { fmt.Printf("%-20s %-30s %10.3f\n", c.name, n, v) })
			if err != nil {
				fmt.Println(err)
			}
		}
	}
}
