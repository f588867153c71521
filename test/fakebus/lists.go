package fakebus

import (
	"context"

	"service-monitor/pipeline"
	"service-monitor/stages/bus"
)

// Lists is a first stage that sends the lists of a test. It ends when the test
// closes the channel.
type Lists chan bus.List

// Run sends lists until there are no more.
func (l Lists) Run(ctx context.Context, p *pipeline.Port[pipeline.None, bus.List]) error {
	for {
		select {
		case list, ok := <-l:
			if !ok {
				return nil
			}
			if err := p.Send(ctx, list); err != nil {
				return err
			}
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return nil
		}
	}
}
