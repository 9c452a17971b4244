package unpack

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// zstdBlock is the most that one block expands to (RFC 8878, 3.1.1.2.4).
const zstdBlock = 128 << 10

// zstdWindow is the largest window that is accepted. The kernel compresses its
// image with 128 MB (scripts/Makefile.lib, cmd_zstd22). A window takes no memory
// here: what was unpacked is the window.
const zstdWindow = 1 << 31

// unzstd unpacks all frames, into memory of the size that their headers and
// those of their blocks allow for.
func unzstd(data []byte, limit int64) ([]byte, error) {
	most, err := zstdMost(data, limit)
	if err != nil {
		return nil, err
	}
	const slack = 64 // the decoder's fast path writes a little beyond the end
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow),
		zstd.WithDecoderMaxMemory(zstdWindow), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	out, err := d.DecodeAll(data, make([]byte, 0, min(most, limit)+slack))
	// Without room for all that the blocks can hold, the decoder fails in several ways.
	if int64(len(out)) > limit || err != nil && most > limit {
		return nil, &TooLargeError{"zstd", limit}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// zstdMost returns the number of bytes that data expands to at most: what the
// frames say of their content, else what their blocks can hold.
func zstdMost(data []byte, limit int64) (int64, error) {
	var most int64
	for len(data) > 0 {
		var h zstd.Header
		if err := h.Decode(data); err != nil {
			return 0, err
		}
		skip := int64(h.HeaderSize)
		if h.Skippable {
			skip += int64(h.SkippableSize)
			if skip > int64(len(data)) {
				return 0, io.ErrUnexpectedEOF
			}
			data = data[skip:]
			continue
		}
		if h.HasFCS && h.FrameContentSize > uint64(limit) {
			return 0, &TooLargeError{"zstd", limit}
		}
		content, rest, err := zstdBlocks(data[skip:])
		if err != nil {
			return 0, err
		}
		if h.HasFCS {
			content = min(content, int64(h.FrameContentSize))
		}
		most += content
		data = rest
		if h.HasCheckSum {
			const checksum = 4
			if len(data) < checksum {
				return 0, io.ErrUnexpectedEOF
			}
			data = data[checksum:]
		}
	}
	return most, nil
}

// zstdBlocks goes through the headers of a frame's blocks (RFC 8878, 3.1.1.2):
// three bytes with the last-block bit, two bits of type and the size.
func zstdBlocks(data []byte) (most int64, rest []byte, err error) {
	const raw, rle, compressed = 0, 1, 2
	for {
		if len(data) < 3 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		h := binary.LittleEndian.Uint32([]byte{data[0], data[1], data[2], 0})
		data = data[3:]
		size := int64(h >> 3)
		stored := size
		switch h >> 1 & 3 {
		case raw:
			most += size
		case rle:
			most += size
			stored = 1
		case compressed:
			most += zstdBlock
		default:
			return 0, nil, errors.New("reserved type of block")
		}
		if stored > int64(len(data)) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		data = data[stored:]
		if h&1 != 0 {
			return most, data, nil
		}
	}
}
