package wire

import (
	"encoding/binary"
	"strings"
	"testing"
)

// skips reports whether a body is one of a signature, to its last byte.
func skips(sig string, body []byte, order binary.ByteOrder) bool {
	r := NewReader(body, order)
	r.Skip([]byte(sig))
	return r.Done()
}

// bodies are little-endian bodies at the borders of what is well-formed. They
// are the seeds of FuzzBody too.
var bodies = []struct {
	name, sig, body string
	want            bool
}{
	{"nothing", "", "", true},
	{"nothing, and bytes", "", "\x00", false},
	{"byte", "y", "\xff", true},
	{"byte missing", "y", "", false},
	{"byte, and more bytes", "y", "\x01\x02", false},
	{"false", "b", "\x00\x00\x00\x00", true},
	{"true", "b", "\x01\x00\x00\x00", true},
	{"neither false nor true", "b", "\x02\x00\x00\x00", false},
	{"padding before each size", "yqyuyt", "\x01\x00\x02\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00", true},
	{"padding is not zero", "yq", "\x01\x01\x02\x00", false},
	{"padding missing", "yu", "\x01\x00\x00", false},
	{"number cut short", "x", "\x00\x00\x00\x00\x00\x00\x00", false},
	{"double", "d", "\x00\x00\x00\x00\x00\x00\xf8\x7f", true},
	{"file descriptor", "h", "\x00\x00\x00\x00", true},
	{"highest file descriptor", "h", "\xff\xff\xff\xff", true},

	{"string", "s", "\x02\x00\x00\x00ab\x00", true},
	{"empty string", "s", "\x00\x00\x00\x00\x00", true},
	{"string without NUL", "s", "\x02\x00\x00\x00abc", false},
	{"string that ends before its NUL", "s", "\x02\x00\x00\x00ab", false},
	{"string with a NUL inside", "s", "\x02\x00\x00\x00a\x00\x00", false},
	{"string is not UTF-8", "s", "\x01\x00\x00\x00\xff\x00", false},
	{"string with an overlong form", "s", "\x02\x00\x00\x00\xc0\xaf\x00", false},
	{"string with a surrogate", "s", "\x03\x00\x00\x00\xed\xa0\x80\x00", false},
	{"string with a noncharacter, which is allowed", "s", "\x03\x00\x00\x00\xef\xbf\xbe\x00", true},
	{"string of 2^31-1 bytes", "s", "\xff\xff\xff\x7f\x00", false},
	{"string of 2^32-1 bytes", "s", "\xff\xff\xff\xff\x00", false},
	{"root path", "o", "\x01\x00\x00\x00/\x00", true},
	{"path", "o", "\x07\x00\x00\x00/a_9/B0\x00", true},
	{"path is empty", "o", "\x00\x00\x00\x00\x00", false},
	{"path is relative", "o", "\x01\x00\x00\x00a\x00", false},
	{"path ends in a slash", "o", "\x03\x00\x00\x00/a/\x00", false},
	{"path with an empty element", "o", "\x05\x00\x00\x00/a//b\x00", false},
	{"path with a dash", "o", "\x04\x00\x00\x00/a-b\x00", false},
	{"signature", "g", "\x08sa{sv}as\x00", true},
	{"empty signature", "g", "\x00\x00", true},
	{"signature without NUL", "g", "\x01yy", false},
	{"signature is not one", "g", "\x02a{\x00", false},
	{"signature with an empty struct", "g", "\x02()\x00", false},

	{"array of bytes", "ay", "\x02\x00\x00\x00ab", true},
	{"empty array", "ay", "\x00\x00\x00\x00", true},
	{"empty array with its padding", "at", "\x00\x00\x00\x00\x00\x00\x00\x00", true},
	{"empty array without its padding", "at", "\x00\x00\x00\x00", false},
	{"array longer than the body", "ay", "\x03\x00\x00\x00ab", false},
	{"array of 2^31 bytes", "ay", "\x00\x00\x00\x80ab", false},
	{"array of 2^32-1 bytes", "aq", "\xff\xff\xff\xffab", false},
	{"array of fixed size with a part of an element", "aq", "\x03\x00\x00\x00abc", false},
	{"array of booleans", "ab", "\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", true},
	{"array with no boolean", "ab", "\x04\x00\x00\x00\x02\x00\x00\x00", false},
	{"array whose last element overruns it", "as", "\x05\x00\x00\x00\x01\x00\x00\x00a\x00", false},
	{"array whose last element ends before it", "as", "\x07\x00\x00\x00\x01\x00\x00\x00a\x00\x00", false},
	{"array in an array that overruns the outer one", "aay", "\x04\x00\x00\x00\x01\x00\x00\x00a", false},
	{"array of arrays", "aay", "\x0d\x00\x00\x00\x01\x00\x00\x00a\x00\x00\x00\x01\x00\x00\x00b", true},
	{"padding after the last element is not the array's", "a(y)", "\x08\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", false},
	{"struct", "(ys)", "\x01\x00\x00\x00\x01\x00\x00\x00a\x00", true},
	{"array of empty structs", "a()", "\x08\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", false},
	{"structs in structs", "((y)(y)y)", "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x03", true},
	{"struct cut short", "(yy)", "\x01", false},
	{"empty array before another member", "(a(t)y)", "\x00\x00\x00\x00\x00\x00\x00\x00\x01", true},
	{"dict", "a{yy}", "\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x03\x04", true},
	{"dict with a key twice", "a{yy}", "\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x01\x04", true},
	{"dict with a key alone", "a{yy}", "\x01\x00\x00\x00\x00\x00\x00\x00\x01", false},
	{"dict by boolean", "a{by}", "\x05\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02", true},
	{"dict by signature", "a{gy}", "\x04\x00\x00\x00\x00\x00\x00\x00\x01y\x00\x02", true},
	{"variant", "v", "\x01u\x00\x00\x01\x00\x00\x00", true},
	{"variant of a dict", "v", "\x05a{sv}\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00a\x00\x01y\x00\x07", true},
	{"variant without a type", "v", "\x00\x00", false},
	{"variant of two types", "v", "\x02yy\x00\x01", false},
	{"variant of a dict entry", "v", "\x04{yy}\x00\x00\x00\x01\x02", false},
	{"variant without its value", "v", "\x01y\x00", false},
	{"variant whose signature has no NUL", "v", "\x01y\x01\x01", false},
	{"variant whose signature overruns the body", "v", "\xffy\x00\x01", false},
}

func TestSkip(t *testing.T) {
	for _, tt := range bodies {
		t.Run(tt.name, func(t *testing.T) {
			if got := skips(tt.sig, []byte(tt.body), binary.LittleEndian); got != tt.want {
				t.Errorf("Skip(%q) of %q: %v, want %v", tt.sig, tt.body, got, tt.want)
			}
		})
	}
}

// nested returns n variants in each other around a value of type sig, which is
// head, and rest from a multiple of 8 bytes on.
func nested(n int, sig, head, rest string) string {
	b := strings.Repeat("\x01v\x00", n-1) + string(rune(len(sig))) + sig + "\x00"
	b += strings.Repeat("\x00", -len(b)&(alignment(sig[0])-1)) + head
	if rest != "" {
		b += strings.Repeat("\x00", -len(b)&7) + rest
	}
	return b
}

// nesting are bodies of a v at the limit of 64 containers in each other. They
// are seeds of FuzzBody too.
var nesting = []struct {
	name, body string
	want       bool
}{
	{"64 variants", nested(64, "y", "\x01", ""), true},
	{"65 variants", nested(65, "y", "\x01", ""), false},
	{"100,000 variants", nested(100_000, "y", "\x01", ""), false},
	{"array as the 64th", nested(63, "as", "\x00\x00\x00\x00", ""), true},
	{"array as the 65th", nested(64, "as", "\x00\x00\x00\x00", ""), false},
	{"struct as the 64th", nested(63, "(y)", "\x01", ""), true},
	{"struct as the 65th", nested(64, "(y)", "\x01", ""), false},
	{"dict entry as the 64th", nested(62, "a{yy}", "\x02\x00\x00\x00", "\x01\x02"), true},
	{"dict entry as the 65th", nested(63, "a{yy}", "\x02\x00\x00\x00", "\x01\x02"), false},
	{"empty dict as the 64th", nested(63, "a{yy}", "\x00\x00\x00\x00", ""), true},
}

func TestNesting(t *testing.T) {
	for _, tt := range nesting {
		t.Run(tt.name, func(t *testing.T) {
			if got := skips("v", []byte(tt.body), binary.LittleEndian); got != tt.want {
				t.Errorf("Skip: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestArrayLimit(t *testing.T) {
	tests := []struct {
		name string
		size int
		want bool
	}{
		{"2^26 bytes", 1 << 26, true},
		{"one more", 1<<26 + 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := make([]byte, 4+tt.size)
			binary.LittleEndian.PutUint32(b, uint32(tt.size))
			r := NewReader(b, binary.LittleEndian)
			if n := len(r.Bytes()); r.Done() != tt.want || tt.want && n != tt.size {
				t.Errorf("Bytes() has %d bytes, Done() = %v, want %v", n, r.Done(), tt.want)
			}
			if got := skips("ay", b, binary.LittleEndian); got != tt.want {
				t.Errorf("Skip: %v, want %v", got, tt.want)
			}
		})
	}
}

// What a body costs grows with its bytes alone, at most by the 255 of a
// signature for each 4 of them. These are the dearest that are known.
func BenchmarkSkipHostile(b *testing.B) {
	const size = 1 << 20
	open, shut := strings.Repeat("(", 31), strings.Repeat(")", 31)
	benchmarks := []struct {
		name, sig, elem string
	}{
		{"zeros in structs", "a" + open + "t" + shut, strings.Repeat("\x00", 8)},
		{"empty arrays of long structs", "a(a(" + strings.Repeat("y", 249) + "))", strings.Repeat("\x00", 8)},
		{"empty arrays in structs", "a" + open + "a(" + strings.Repeat("y", 180) + ")" + shut, strings.Repeat("\x00", 8)},
		{"variants in variants", "av", nested(63, "y", "\x00", "")},
		{"signatures", "ag", "\xff" + strings.Repeat("y", 255) + "\x00"},
	}
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			elems := strings.Repeat(bb.elem, size/len(bb.elem))
			body := binary.LittleEndian.AppendUint32(nil, uint32(len(elems)))
			if alignment(bb.sig[1]) == 8 {
				body = append(body, 0, 0, 0, 0)
			}
			body = append(body, elems...)
			if !skips(bb.sig, body, binary.LittleEndian) {
				b.Fatal("the body is refused")
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				skips(bb.sig, body, binary.LittleEndian)
			}
		})
	}
}
