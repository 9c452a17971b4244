package kmod

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// moduleSigMagic ends a signed module, behind a struct module_signature
// (include/linux/module_signature.h), whose last field is the big-endian
// length of the signature in front of it.
const (
	moduleSigMagic = "~Module signature appended~\n"
	moduleSigLen   = 12
)

// StripSignature cuts an appended module signature off.
func StripSignature(data []byte) (module []byte, signed bool, err error) {
	body, ok := bytes.CutSuffix(data, []byte(moduleSigMagic))
	if !ok {
		return data, false, nil
	}
	if len(body) < moduleSigLen {
		return nil, false, fmt.Errorf("module signature: %d bytes are too few", len(body))
	}
	length := binary.BigEndian.Uint32(body[len(body)-4:])
	body = body[:len(body)-moduleSigLen]
	if uint64(length) > uint64(len(body)) {
		return nil, false, fmt.Errorf("module signature claims %d bytes of %d", length, len(body))
	}
	return body[:len(body)-int(length)], true, nil
}
