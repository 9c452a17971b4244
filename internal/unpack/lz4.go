package unpack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pierrec/lz4/v4"
	"golang.org/x/sync/errgroup"
)

// lz4Legacy begins an lz4 legacy frame.
const lz4Legacy = "\x02\x21\x4c\x18"

// lz4LegacyBlock is the size of every block but the last of a legacy frame,
// uncompressed (lib/decompress_unlz4.c).
const lz4LegacyBlock = 8 << 20

// unlz4Legacy unpacks the blocks of an lz4 legacy frame, the format the
// kernel uses: a little-endian length and a block, until the end or a zero
// length. Blocks are independent, so they are decoded in parallel.
func unlz4Legacy(data []byte, limit int64) ([]byte, error) {
	var blocks [][]byte
	for len(data) >= 4 {
		n := binary.LittleEndian.Uint32(data)
		if n == 0 {
			break
		}
		if uint64(n) > uint64(len(data)-4) {
			return nil, fmt.Errorf("block of %d bytes, %d left", n, len(data)-4)
		}
		blocks = append(blocks, data[4:4+n])
		data = data[4+n:]
		// All but the last are full.
		if int64(len(blocks)-1)*lz4LegacyBlock > limit {
			return nil, &TooLargeError{"lz4", limit}
		}
	}
	if len(blocks) == 0 {
		return nil, errors.New("no blocks")
	}
	out := make([]byte, len(blocks)*lz4LegacyBlock)
	last := 0
	var g errgroup.Group
	for i, b := range blocks {
		g.Go(func() error {
			n, err := lz4.UncompressBlock(b, out[i*lz4LegacyBlock:(i+1)*lz4LegacyBlock])
			if err != nil {
				return fmt.Errorf("block %d: %w", i, err)
			}
			if i == len(blocks)-1 {
				last = n
			} else if n != lz4LegacyBlock {
				return fmt.Errorf("block %d: %d bytes, want %d", i, n, lz4LegacyBlock)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	n := (len(blocks)-1)*lz4LegacyBlock + last
	if int64(n) > limit {
		return nil, &TooLargeError{"lz4", limit}
	}
	return out[:n], nil
}
