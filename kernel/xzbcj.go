package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The kernel compresses x86 images with xz's x86 branch filter
// (scripts/xz_wrap.sh), which the xz library does not implement. This file
// reads the container of such a stream (the .xz file format, version 1.1) and
// undoes the filter; LZMA2 itself is the library's.

const (
	xzHeaderLen  = 12
	xzFilterX86  = 0x04
	xzFilterLZMA = 0x21
)

var errXZ = errors.New("malformed xz stream")

type xzBlockHeader struct {
	size    int // of the header, bytes
	x86     bool
	dictCap int
}

// xzUsesBCJ reports whether the first block of an xz stream has a filter
// before LZMA2.
func xzUsesBCJ(data []byte) bool {
	if len(data) < xzHeaderLen {
		return false
	}
	h, err := parseXZBlockHeader(data[xzHeaderLen:])
	return err == nil && h.x86
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
			if err != nil || c > 1<<30 {
				return h, fmt.Errorf("%w: dictionary size", errXZ)
			}
			h.dictCap = int(max(c, lzma.MinDictCap))
		default:
			return h, &CompressionError{"xz", fmt.Sprintf("filter %#x is not supported; give the uncompressed vmlinux with --vmlinux", id)}
		}
	}
	return h, nil
}

// unxzBCJ unpacks all blocks of the first stream. Block checks are CRC32 or
// none in kernel images (lib/decompress_unxz.c supports no other); CRC32 is
// verified.
func unxzBCJ(data []byte, limit int64) ([]byte, error) {
	if len(data) < xzHeaderLen || compression(data) != "xz" {
		return nil, errXZ
	}
	check := data[7] & 0x0f
	// xz specification 2.1.1.2: check ids 1-3, 4-6, … have these sizes.
	checkLen := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[check]
	r := bytes.NewReader(data)
	pos := int64(xzHeaderLen)
	var out bytes.Buffer
	for {
		if pos >= int64(len(data)) {
			return nil, io.ErrUnexpectedEOF
		}
		if data[pos] == 0 { // the index: no more blocks
			return out.Bytes(), nil
		}
		h, err := parseXZBlockHeader(data[pos:])
		if err != nil {
			return nil, err
		}
		start := pos + int64(h.size)
		if _, err := r.Seek(start, io.SeekStart); err != nil {
			return nil, err
		}
		// *bytes.Reader is an io.ByteReader, so the LZMA2 reader consumes
		// no byte beyond its end marker.
		lr, err := lzma.Reader2Config{DictCap: h.dictCap}.NewReader2(r)
		if err != nil {
			return nil, err
		}
		first := out.Len()
		if _, err := io.Copy(&out, io.LimitReader(lr, limit+1-int64(first))); err != nil {
			return nil, err
		}
		if int64(out.Len()) > limit {
			return nil, fmt.Errorf("more than the expected %d bytes", limit)
		}
		block := out.Bytes()[first:]
		if h.x86 {
			bcjX86Decode(block)
		}
		end := int64(len(data)) - int64(r.Len())
		end += (4 - (end-start)%4) % 4
		if end+int64(checkLen) > int64(len(data)) {
			return nil, io.ErrUnexpectedEOF
		}
		if check == 1 && crc32.ChecksumIEEE(block) != binary.LittleEndian.Uint32(data[end:]) {
			return nil, fmt.Errorf("%w: block checksum", errXZ)
		}
		pos = end + int64(checkLen)
	}
}

// bcjX86Decode turns the absolute targets of call and jmp rel32 (e8, e9) back
// into relative ones, in place. The encoder converts an operand only when its
// top byte is 00 or ff and the bytes around do not look like another operand;
// mask keeps which of the last bytes were such opcodes, so that the decoder
// makes the same choices. The filter is defined by XZ Embedded, which is in
// the public domain.
func bcjX86Decode(buf []byte) {
	topByte := func(b byte) bool { return b == 0 || b == 0xff }
	allowed := [8]bool{true, true, true, false, true, false, false, false}
	bitFor := [8]uint{0, 1, 2, 2, 3, 3, 3, 3}
	if len(buf) < 5 {
		return
	}
	var mask uint32
	prev := -1
	last := len(buf) - 5
	for i := 0; i <= last; {
		if buf[i]&0xfe != 0xe8 {
			i++
			continue
		}
		dist := i - prev
		prev = i
		if dist > 3 {
			mask = 0
		} else {
			mask = mask << uint(dist-1) & 7
			if mask != 0 {
				b := buf[i+4-int(bitFor[mask])]
				if !allowed[mask] || topByte(b) {
					mask = mask<<1 | 1
					i++
					continue
				}
			}
		}
		if !topByte(buf[i+4]) {
			mask = mask<<1 | 1
			i++
			continue
		}
		src := binary.LittleEndian.Uint32(buf[i+1:])
		var dst uint32
		for {
			dst = src - uint32(i+5)
			if mask == 0 {
				break
			}
			j := bitFor[mask] * 8
			if b := byte(dst >> (24 - j)); !topByte(b) {
				break
			}
			src = dst ^ (1<<(32-j) - 1)
		}
		dst &= 0x01ffffff
		if dst&0x01000000 != 0 {
			dst |= 0xff000000
		}
		binary.LittleEndian.PutUint32(buf[i+1:], dst)
		i += 5
	}
}
