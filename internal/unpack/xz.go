package unpack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The container of an xz stream (the .xz file format, version 1.1) is read
// here, for two things that the library lacks: the x86 branch filter, with which the
// kernel compresses x86 images (scripts/xz_wrap.sh), and bounds. Each
// LZMA2 chunk says how many bytes it holds, so what a stream expands to is known before
// any of it is unpacked, and no dictionary need be larger. LZMA2 itself is
// the library's.

const (
	xzHeaderLen  = 12
	xzFilterX86  = 0x04
	xzFilterLZMA = 0x21
)

var errXZ = errors.New("malformed xz stream")

type xzBlockHeader struct {
	size    int // of the header, bytes
	x86     bool
	dictCap int64
}

// xzBlock is a block of a stream.
type xzBlock struct {
	xzBlockHeader
	lzma2    []byte // the chunks, their end marker included
	unpacked int64  // bytes
	check    []byte
}

func parseXZBlockHeader(b []byte) (xzBlockHeader, error) {
	var h xzBlockHeader
	if len(b) < 8 || b[0] == 0 {
		return h, errXZ
	}
	h.size = (int(b[0]) + 1) * 4
	if h.size > len(b) {
		return h, errXZ
	}
	body := b[:h.size-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[h.size-4:]) {
		return h, fmt.Errorf("%w: block header checksum", errXZ)
	}
	flags := body[1]
	p := body[2:]
	uv := func() (uint64, bool) {
		v, n := binary.Uvarint(p)
		if n <= 0 {
			return 0, false
		}
		p = p[n:]
		return v, true
	}
	for _, bit := range []byte{0x40, 0x80} { // compressed and uncompressed size, not needed
		if flags&bit != 0 {
			if _, ok := uv(); !ok {
				return h, errXZ
			}
		}
	}
	for i := 0; i <= int(flags&3); i++ {
		id, ok1 := uv()
		n, ok2 := uv()
		if !ok1 || !ok2 || n > uint64(len(p)) {
			return h, errXZ
		}
		props := p[:n]
		p = p[n:]
		switch {
		case id == xzFilterX86 && len(props) == 0:
			h.x86 = true
		case id == xzFilterLZMA && len(props) == 1 && i == int(flags&3):
			c, err := lzma.DecodeDictCap(props[0])
			if err != nil {
				return h, fmt.Errorf("%w: dictionary size", errXZ)
			}
			h.dictCap = c
		default:
			return h, &FormatError{"xz", fmt.Sprintf("filter %#x is not supported; give the uncompressed file", id)}
		}
	}
	return h, nil
}

// walkLZMA2 goes through the headers of chunks up to the end marker: how long
// they are, and how many bytes they hold. A chunk begins with a control byte: 0 ends, 1 and
// 2 are stored bytes, 0x80 and above compressed ones, from 0xc0 with new properties.
func walkLZMA2(b []byte) (packed int, unpacked int64, err error) {
	for packed < len(b) {
		rest := b[packed:]
		c := rest[0]
		switch {
		case c == 0:
			return packed + 1, unpacked, nil
		case c <= 2:
			if len(rest) < 3 {
				return 0, 0, io.ErrUnexpectedEOF
			}
			n := int(binary.BigEndian.Uint16(rest[1:])) + 1
			unpacked += int64(n)
			packed += 3 + n
		case c >= 0x80:
			if len(rest) < 5 {
				return 0, 0, io.ErrUnexpectedEOF
			}
			unpacked += int64(c&0x1f)<<16 + int64(binary.BigEndian.Uint16(rest[1:])) + 1
			packed += 5 + int(binary.BigEndian.Uint16(rest[3:])) + 1
			if c >= 0xc0 {
				packed++
			}
		default:
			return 0, 0, fmt.Errorf("%w: LZMA2 chunk of type %#x", errXZ, c)
		}
	}
	return 0, 0, io.ErrUnexpectedEOF
}

// xzBlocks divides the first stream into its blocks. It unpacks nothing.
func xzBlocks(data []byte) ([]xzBlock, error) {
	if len(data) < xzHeaderLen || Format(data) != "xz" {
		return nil, errXZ
	}
	// xz specification 2.1.1.2: check ids 1-3, 4-6, … have these sizes.
	checkLen := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[data[7]&0x0f]
	var blocks []xzBlock
	for pos := xzHeaderLen; ; {
		if pos >= len(data) {
			return nil, io.ErrUnexpectedEOF
		}
		if data[pos] == 0 { // the index: no more blocks
			return blocks, nil
		}
		h, err := parseXZBlockHeader(data[pos:])
		if err != nil {
			return nil, err
		}
		start := pos + h.size
		packed, unpacked, err := walkLZMA2(data[start:])
		if err != nil {
			return nil, err
		}
		end := start + packed
		check := end + (4-packed%4)%4
		if check+checkLen > len(data) {
			return nil, io.ErrUnexpectedEOF
		}
		blocks = append(blocks, xzBlock{xzBlockHeader: h, lzma2: data[start:end], unpacked: unpacked, check: data[check : check+checkLen]})
		pos = check + checkLen
	}
}

// unxz unpacks the first stream, and checks it where it has a check that xz
// itself writes (none, CRC32, CRC64, SHA-256).
func unxz(data []byte, limit int64) ([]byte, error) {
	blocks, err := xzBlocks(data)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, b := range blocks {
		if total += b.unpacked; total > limit {
			return nil, &TooLargeError{"xz", limit}
		}
	}
	out := make([]byte, total)
	rest := out
	for _, b := range blocks {
		dict := max(min(b.dictCap, b.unpacked), lzma.MinDictCap)
		r, err := lzma.Reader2Config{DictCap: int(dict)}.NewReader2(bytes.NewReader(b.lzma2))
		if err != nil {
			return nil, err
		}
		block := rest[:b.unpacked]
		rest = rest[b.unpacked:]
		if _, err := io.ReadFull(r, block); err != nil {
			return nil, noEOF(err)
		}
		if n, err := fill(r, make([]byte, 1)); n > 0 || err != io.EOF {
			return nil, fmt.Errorf("%w: a block does not end where its chunks do", errXZ)
		}
		if b.x86 {
			bcjX86Decode(block)
		}
		if !checks(data[7]&0x0f, block, b.check) {
			return nil, fmt.Errorf("%w: block checksum", errXZ)
		}
	}
	return out, nil
}

// noEOF makes the end of a stream before its time an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var crc64ECMA = crc64.MakeTable(crc64.ECMA)

// checks compares a block with its check (xz specification, 2.1.1.2).
func checks(id byte, block, want []byte) bool {
	const ieee32, ecma64, sha2 = 1, 4, 10
	switch id {
	case ieee32:
		return crc32.ChecksumIEEE(block) == binary.LittleEndian.Uint32(want)
	case ecma64:
		return crc64.Checksum(block, crc64ECMA) == binary.LittleEndian.Uint64(want)
	case sha2:
		sum := sha256.Sum256(block)
		return bytes.Equal(sum[:], want)
	}
	return true
}
