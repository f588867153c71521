package wire

import (
	"strings"
)

func validPath(p []byte) bool {
	last := byte(0)
	for i, c := range p {
		switch {
		case i == 0 && c != '/', c == '/' && last == '/':
			return false
		case c == '/', c == '_', '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
			last = c
		default:
			return false
		}
	}
	return len(p) == 1 || len(p) > 1 && last != '/'
}

// valid reports whether a signature is a list of complete types.
func valid(sig []byte) bool {
	for len(sig) > 0 {
		n := single(sig, 0, 0)
		if n == 0 {
			return false
		}
		sig = sig[n:]
	}
	return true
}

// single returns the length of the first complete type in a signature, or 0
// where there is none. A dict entry is complete inside an array only.
func single(sig []byte, arrays, structs int) int {
	if len(sig) == 0 || arrays > maxNest || structs > maxNest {
		return 0
	}
	switch sig[0] {
	case 'y', 'b', 'n', 'q', 'i', 'u', 'x', 't', 'd', 's', 'o', 'g', 'v', 'h':
		return 1
	case 'a':
		if len(sig) > 1 && sig[1] == '{' {
			return singleDict(sig, arrays, structs)
		}
		if n := single(sig[1:], arrays+1, structs); n > 0 {
			return 1 + n
		}
	case '(':
		i := 1
		for i < len(sig) && sig[i] != ')' {
			n := single(sig[i:], arrays, structs+1)
			if n == 0 {
				return 0
			}
			i += n
		}
		if i < len(sig) && i > 1 {
			return i + 1
		}
	}
	return 0
}

func singleDict(sig []byte, arrays, structs int) int {
	if len(sig) < 5 || strings.IndexByte(basic, sig[2]) < 0 {
		return 0
	}
	n := single(sig[3:], arrays+1, structs)
	if n == 0 || 3+n >= len(sig) || sig[3+n] != '}' {
		return 0
	}
	return 3 + n + 1
}
