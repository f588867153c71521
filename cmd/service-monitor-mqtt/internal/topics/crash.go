package topics

import "service-monitor/stages/blackbox"

// A box is the black box of a run, as far as it has room in a message.
type box struct {
	*blackbox.Box
	Cut int `json:"lines_cut,omitempty"` // how many of its oldest lines are missing
}

// fitted returns a box as JSON. Its oldest lines are cut if it would be too large, for the last words tell the
// most. as says what is encoded in place of the box.
func fitted(b *blackbox.Box, as func(box) any) []byte {
	short := *b
	cut := 0
	for len(short.Lines) > 1 {
		text := encode(as(box{&short, cut}))
		over := len(text) - largest
		if over <= 0 {
			return text
		}
		for over > 0 && len(short.Lines) > 1 {
			over -= len(encode(short.Lines[0]))
			short.Lines = short.Lines[1:]
			cut++
		}
	}
	return payload(as(box{&short, cut}))
}
