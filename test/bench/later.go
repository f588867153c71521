package main

import "context"

func (b *bench) real(context.Context) error    { return nil }
func (b *bench) latency(context.Context) error { return nil }
func (b *bench) growth(context.Context) error  { return nil }
func (b *bench) plots() error                  { return nil }

const (
	caseKills = "k"
	caseLoop  = "l"
)
