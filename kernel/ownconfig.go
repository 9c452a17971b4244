package kernel

import (
	"errors"
	"os"
)

// OwnConfig is the configuration that the target itself comes with, whatever Options
// name: the one that the image carries (CONFIG_IKCONFIG), else the one that lies beside
// it under the root or in the cache. from tells where it is. It is nil, without an
// error, when there is none.
func (t *Target) OwnConfig() (text []byte, from string, err error) {
	im, err := t.Image()
	if err != nil {
		return nil, "", err
	}
	if text, err = im.Config(); text != nil || err != nil {
		return text, "the configuration in " + im.Path, err
	}
	var missing *MissingPartError
	path, err := t.part("", PartConfig)
	if errors.As(err, &missing) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	text, err = os.ReadFile(path)
	return text, path, err
}

// ConfigGiven reports whether the configuration in use was named by Options, and so may
// be another than the target's own.
func (t *Target) ConfigGiven() bool { return t.opts.Config != "" || t.opts.Headers != "" }
