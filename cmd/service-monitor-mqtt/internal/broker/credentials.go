package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Credentials are the secrets. They come from systemd (LoadCredential=) and not from the configuration,
// which everybody may read. One that is not there is nil.
type Credentials struct {
	User, Password []byte
	Key            []byte // of our own certificate, in PEM
}

// ReadCredentials reads the credentials in a directory, which is $CREDENTIALS_DIRECTORY. A file that is
// not there is no error, nor is an empty name of the directory. The unit has an empty line in place of a
// file that is not there.
func ReadCredentials(directory string) (Credentials, error) {
	var c Credentials
	if directory == "" {
		return c, nil
	}
	for _, f := range []struct {
		name   string
		target *[]byte
	}{{"mqtt-user", &c.User}, {"mqtt-password", &c.Password}, {"mqtt-key", &c.Key}} {
		data, err := os.ReadFile(filepath.Join(directory, f.name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return Credentials{}, fmt.Errorf("cannot read the credential %s: %w", f.name, err)
		}
		if data = bytes.TrimSuffix(data, []byte("\n")); len(data) > 0 { // an editor and echo write it
			*f.target = data
		}
	}
	return c, nil
}
