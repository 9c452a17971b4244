package kimage

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klpforge/klpforge/internal/unpack"
)

// payload finds the compressed vmlinux in a bzImage by its setup header
// (Documentation/arch/x86/boot.rst): setup_sects at 0x1f1, "HdrS" at 0x202,
// protocol version at 0x206, payload_offset and payload_length at 0x248 and
// 0x24c since protocol 2.08. size is the uncompressed size that the build
// appended (scripts/Makefile.lib, size_append; gzip's own trailer says the same).
func bzImagePayload(data []byte) (format string, payload []byte, size int, err error) {
	if len(data) < 0x264 || string(data[0x202:0x206]) != "HdrS" {
		return "", nil, 0, fmt.Errorf("not a bzImage")
	}
	le := binary.LittleEndian
	if v := le.Uint16(data[0x206:]); v < 0x208 {
		return "", nil, 0, fmt.Errorf("bzImage boot protocol %d.%02d has no payload fields", v>>8, v&0xff)
	}
	sects := int(data[0x1f1])
	if sects == 0 {
		sects = 4
	}
	off := uint64(sects+1)*512 + uint64(le.Uint32(data[0x248:]))
	length := uint64(le.Uint32(data[0x24c:]))
	if length < 8 || off+length > uint64(len(data)) {
		return "", nil, 0, fmt.Errorf("bzImage payload at %#x, %d bytes, is outside the file of %d bytes", off, length,
			len(data))
	}
	payload = data[off : off+length]
	if bytes.HasPrefix(payload, []byte("\x7fELF")) {
		return "", payload, len(payload), nil
	}
	format = unpack.Format(payload)
	if format == "" {
		return "", nil, 0, &unpack.FormatError{Format: "unknown",
			Why: fmt.Sprintf("bzImage payload begins with % x", payload[:4])}
	}
	size = int(le.Uint32(payload[length-4:]))
	if format != "gzip" {
		payload = payload[:length-4]
	}
	if size == 0 {
		return "", nil, 0, fmt.Errorf("bzImage claims %d bytes uncompressed", size)
	}
	// The kernel is unpacked in place within what init_size, at 0x260, reserves since protocol 2.10.
	if room := int(le.Uint32(data[0x260:])); le.Uint16(data[0x206:]) >= 0x20a && size > room {
		return "", nil, 0, fmt.Errorf("bzImage claims %d bytes uncompressed, and to be unpacked within %d", size, room)
	}
	return format, payload, size, nil
}

// unpackImage returns the ELF vmlinux within a bzImage.
func unpackImage(data []byte) ([]byte, error) {
	format, payload, size, err := bzImagePayload(data)
	if err != nil {
		return nil, err
	}
	if format == "" {
		return payload, nil
	}
	out, err := unpack.Bytes(format, payload, size)
	if err != nil {
		return nil, err
	}
	if len(out) != size {
		return nil, fmt.Errorf("decompress %s: %d bytes, the image says %d", format, len(out), size)
	}
	return out, nil
}
