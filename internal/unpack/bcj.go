package unpack

import "encoding/binary"

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
