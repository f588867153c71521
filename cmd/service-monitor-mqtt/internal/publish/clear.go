package publish

import (
	"maps"
	"slices"

	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// Clear returns the messages that clear all that a gateway has retained.
func Clear(s topics.Scheme, at cursor.Position) (list []topics.Message) {
	schemes := []topics.Scheme{s}
	if old, err := schemeUnder(at.Under); err == nil {
		schemes = append(schemes, old)
	}
	for _, s := range schemes {
		for _, name := range slices.Sorted(maps.Keys(at.Units)) {
			list = append(list, s.Gone(name)...)
		}
		list = append(list, s.Clear()...)
	}
	return list
}
