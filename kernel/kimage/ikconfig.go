package kimage

import (
	"bytes"
	"fmt"

	"github.com/klpforge/klpforge/internal/unpack"
)

// Config returns the configuration in the image, nil when it has none. It is
// compressed, between two marks (kernel/configs.c, v4.0 to v6.12).
func (im *Image) Config() ([]byte, error) {
	section := im.Section(".rodata")
	if section == nil {
		return nil, nil
	}
	data := section.Data()
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
