package kernel

import "github.com/klpforge/klpforge/internal/unpack"

// CompressionError means that a file is compressed in a way that cannot be
// read here.
type CompressionError = unpack.FormatError

// maxFile bounds a file of a kernel that is read into memory, in bytes.
const maxFile = 1 << 30

// Decompress unpacks the content of a file such as a .ko.xz when its
// magic says that it is compressed, else returns it as it is. What expands to more
// than a kernel's file of its size does is an error, found before it has taken the memory.
func Decompress(path string, data []byte) ([]byte, error) { return unpack.File(path, data) }
