package persist

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// What the content of the state file costs, without the disk under it.

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{12, 10_000} {
		b.Run(fmt.Sprint(n, " units"), func(b *testing.B) {
			units := many(n)
			b.ReportAllocs()
			for b.Loop() {
				if err := encode(io.Discard, units); err != nil {
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
			if err := encode(&text, many(n)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if c := parse(text.Bytes()); c.lost() {
					b.Fatal(c.findings)
				}
			}
			b.ReportMetric(float64(text.Len())/float64(n), "bytes/unit")
		})
	}
}
