// Package sealed keeps small files of the cache so that damage is noticed when
// they are read: a disk that was full or failed, a copy that was cut short, a
// stray write. A file begins with a line that names its kind and the digest of kind and
// content; the kind holds the key by which the file is found, so a sound file under the
// name of another is damage too.
package sealed

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/regular"
)

// magic begins the first line; its last part is the version of the format.
const magic = "klpforge sealed 1 "

// maxFile bounds a file, in bytes. The include graph of a kernel has some 20 MB.
const maxFile = 1 << 30

// ErrDamaged means that a file is there and not what was written.
var ErrDamaged = errors.New("damaged")

func head(kind string, content []byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s\n", len(kind), kind)
	h.Write(content)
	return fmt.Appendf(nil, "%s%x\n", magic, h.Sum(nil))
}

// Seal returns the file for a content. kind must be what it is read with.
func Seal(kind string, content []byte) []byte { return append(head(kind, content), content...) }

// Open takes the content out of a file. The error wraps ErrDamaged.
func Open(kind string, file []byte) ([]byte, error) {
	end := bytes.IndexByte(file, '\n') + 1
	if end == 0 || !bytes.HasPrefix(file, []byte(magic)) {
		return nil, fmt.Errorf("%w: it does not begin as it should", ErrDamaged)
	}
	content := file[end:]
	if !bytes.Equal(file[:end], head(kind, content)) {
		return nil, fmt.Errorf("%w: its checksum does not match", ErrDamaged)
	}
	return content, nil
}

// Read reads a file and takes its content out. Without one the error wraps
// fs.ErrNotExist; anything else that keeps it from being read, such as a directory
// in its place, wraps ErrDamaged.
func Read(path, kind string) ([]byte, error) {
	file, err := regular.Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return Open(kind, file)
}

// ReadPlain reads a file of the cache that is not sealed because its content is
// known or checked otherwise.
func ReadPlain(path string) ([]byte, error) { return regular.Read(path, maxFile) }

// logFile is where Note writes, below the cache.
const logFile = "logs/cache.log"

// Note says in one line of the cache's log that a file of the cache could not be
// used and why, and removes it, so that it can be made anew. A log that cannot be written
// does not stand in the way of that.
func Note(cache, path string, why error) {
	rel, err := filepath.Rel(cache, path)
	if err != nil {
		rel = path
	}
	_ = os.RemoveAll(path) // writing it anew tells if that did not help
	log := filepath.Join(cache, logFile)
	if os.MkdirAll(filepath.Dir(log), 0o755) != nil {
		return
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	line := strings.Join(strings.Fields(why.Error()), " ")
	fmt.Fprintf(f, "%s %s: %s; removed, to be made anew\n", time.Now().UTC().Format(time.RFC3339), rel, line)
}

// MakeDir is os.MkdirAll for a directory of the cache. What lies in the way and
// is no directory is damage: it is noted and removed.
func MakeDir(cache, dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil || !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	for at := filepath.Clean(dir); at != filepath.Clean(cache) && len(at) > len(cache); at = filepath.Dir(at) {
		if info, serr := os.Stat(at); serr == nil && info.IsDir() {
			break
		}
		if _, serr := os.Lstat(at); serr == nil {
			Note(cache, at, fmt.Errorf("%w: not a directory", ErrDamaged))
			break
		}
	}
	return os.MkdirAll(dir, 0o755)
}
