package companion

import (
	"errors"
	"fmt"

	"service-monitor/cmd/internal/config"
	"service-monitor/stages/files"
)

// BecomeOwner gives up the rights of root, for those of the user to whom the files of the monitor belong.
func BecomeOwner(c config.Config) error {
	if _, err := files.Become(c.State.File); errors.Is(err, files.ErrOwner) { // who reads the files has a better text for any other error
		return fmt.Errorf("cannot use the files: %w", err)
	}
	return nil
}
