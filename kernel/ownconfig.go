package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/klpforge/klpforge/internal/unpack"
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
	if text, err = im.config(); text != nil || err != nil {
		return text, "the configuration in " + im.Path, err
	}
	var missing *MissingPartError
	p, err := t.part("", "config", "--config", func(r root) []string { return r.configs(t.release) })
	if errors.As(err, &missing) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	text, err = os.ReadFile(p)
	return text, p, err
}

// ConfigGiven reports whether the configuration in use was named by Options, and so may
// be another than the target's own.
func (t *Target) ConfigGiven() bool { return t.opts.Config != "" || t.opts.Headers != "" }

// config returns the configuration in the image, nil when it has none. It is
// compressed, between two marks (kernel/configs.c, v4.0 to v6.12).
func (im *Image) config() ([]byte, error) {
	s := im.Section(".rodata")
	if s == nil {
		return nil, nil
	}
	data := s.Data()
	_, rest, ok := bytes.Cut(data, []byte("IKCFG_ST"))
	if !ok || unpack.Format(rest) != "gzip" {
		return nil, nil
	}
	packed, _, ok := bytes.Cut(rest, []byte("IKCFG_ED"))
	if !ok {
		return nil, fmt.Errorf("read the configuration in %s: it has no end", im.Path)
	}
	text, err := unpack.Bytes("gzip", packed, 0)
	if err != nil {
		return nil, fmt.Errorf("read the configuration in %s: %w", im.Path, err)
	}
	return text, nil
}
