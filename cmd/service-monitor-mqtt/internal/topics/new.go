package topics

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The schemes.
const (
	Plain         = "plain"
	ThinEdge      = "thin-edge"
	HomeAssistant = "homeassistant"
)

// New returns a scheme. What the user may have written wrongly is in the error.
func New(scheme string, o Options) (Scheme, error) {
	if err := CheckGateway(o.Gateway); err != nil {
		return nil, err
	}
	switch scheme {
	case Plain:
		return newPlain(o), nil
	case ThinEdge:
		return thinEdge{o}, nil
	case HomeAssistant:
		o.DiscoveryPrefix = cmp.Or(o.DiscoveryPrefix, "homeassistant")
		if err := CheckPrefix(o.DiscoveryPrefix); err != nil {
			return nil, err
		}
		return homeAssistant{newPlain(o)}, nil
	}
	return nil, fmt.Errorf("there is no scheme %q, but %s, %s and %s", scheme, Plain, ThinEdge, HomeAssistant)
}

// longestGateway is how many bytes the name of a gateway may have, as many as a host name (HOST_NAME_MAX).
const longestGateway = 64

// CheckGateway says what is wrong with the name of a gateway. It becomes one level of a topic as it is, so
// that people who subscribe to it can write it.
func CheckGateway(name string) error {
	if err := checkLevel(name); err != nil {
		return fmt.Errorf("%q cannot be the name of a gateway in topics: %w", name, err)
	}
	if len(name) > longestGateway {
		return fmt.Errorf("%q cannot be the name of a gateway in topics: it has %d bytes, and at most %d are possible", name, len(name), longestGateway)
	}
	return nil
}

// CheckPrefix says what is wrong with the prefix of Home Assistant's discovery topics. It can have several levels.
func CheckPrefix(prefix string) error {
	levels := strings.Split(prefix, "/")
	for _, level := range levels {
		if err := checkLevel(level); err != nil {
			return fmt.Errorf("%q cannot be the prefix of discovery topics: %w", prefix, err)
		}
	}
	if most := mostSlashes - discoverySlashes; len(levels) > most+1 {
		return fmt.Errorf("%q cannot be the prefix of discovery topics: it has %d slashes, and at most %d are possible", prefix, len(levels)-1, most)
	}
	return nil
}

func checkLevel(level string) error {
	switch {
	case level == "":
		return errors.New("it is empty, or a part of it is")
	case !utf8.ValidString(level):
		return errors.New("it is not valid UTF-8")
	case strings.HasPrefix(level, "$"):
		return errors.New("topics that begin with $ belong to the broker")
	case strings.ContainsAny(level, "+#/\x00"):
		return errors.New("+, #, / and NUL mean something else in topics")
	}
	return nil
}
