package format

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"service-monitor/stages/statefile/format/formattest"
)

// These benchmarks measure encoding and parsing, without a disk.

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{12, 10_000} {
		b.Run(fmt.Sprint(n, " units"), func(b *testing.B) {
			units := formattest.Many(n)
			b.ReportAllocs()
			for b.Loop() {
				if err := Encode(io.Discard, units); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{12, 10_000} {
		b.Run(fmt.Sprint(n, " units"), func(b *testing.B) {
			var text bytes.Buffer
			if err := Encode(&text, formattest.Many(n)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if c := Parse(text.Bytes()); c.Lost() {
					b.Fatal(c.Findings)
				}
			}
			b.ReportMetric(float64(text.Len())/float64(n), "bytes/unit")
		})
	}
}
