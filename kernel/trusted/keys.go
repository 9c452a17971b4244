// Package trusted finds the keys that a kernel trusts for signatures of modules: the
// certificates in its image, and those that the machine's owner enrolled.
package trusted

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/syntax"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// Keys are certificates whose keys a kernel trusts for signatures of modules.
type Keys struct {
	Certs []*x509.Certificate
	From  string // the image that they were read from
	// Unread counts certificates that could not be parsed here, though the kernel
	// may know how to.
	Unread int
}

// Builtin reads the certificates that are built into a kernel, from its
// image below root: that of the release, and, where root has a /proc, the one
// that runs. The key that the build made for its own modules is among them, and those of
// CONFIG_SYSTEM_TRUSTED_KEYS (certs/system_certificates.S: the list and its size).
// Keys that are added while it runs are not, such as those of the machine's owner.
// It reads and unpacks the image, which takes up to a few seconds.
func Builtin(dir, release string) (*Keys, error) {
	if !cachedir.ValidRelease(release) {
		return nil, fmt.Errorf("read the keys of the kernel: %q is not a kernel release", release)
	}
	paths := kernel.ImagesUnder(dir, release)
	if len(paths) == 0 {
		return nil, fmt.Errorf("read the keys of the kernel: no image of %s in /boot or /lib/modules", release)
	}
	k, err := imageKeys(dir, paths[0])
	if err != nil {
		return nil, fmt.Errorf("read the keys in %s: %w", paths[0], err)
	}
	return k, nil
}

func imageKeys(dir, path string) (*Keys, error) {
	im, err := kimage.Open(path, "")
	if err != nil {
		return nil, err
	}
	defer im.Close()
	syms, err := im.Kallsyms()
	if err != nil {
		return nil, err
	}

	// An image of another build would name keys that this kernel does not trust.
	if err := checkRunning(dir, im, syms); err != nil {
		return nil, err
	}
	list, ok := syms.Unique("system_certificate_list")
	size, sized := syms.Unique("system_certificate_list_size")
	if !ok || !sized {
		return nil, errors.New("it has no system_certificate_list (CONFIG_SYSTEM_TRUSTED_KEYRING)")
	}
	length, err := im.Uint64(size.Addr)
	if err != nil {
		return nil, err
	}

	// The size is read from the image, which may be damaged.
	const most = 16 << 20
	if length > most {
		return nil, fmt.Errorf("its list of certificates claims %d bytes", length)
	}
	keys := &Keys{From: path}
	if length == 0 {
		return keys, nil
	}

	data, err := im.Read(list.Addr, int(length))
	if err != nil {
		return nil, err
	}
	keys.Certs, keys.Unread, err = parseCertList(data)
	return keys, err
}

// parseCertList divides DER certificates that follow each other, as the
// kernel does: each begins 30 82 and two bytes of length
// (x509_load_certificate_list in crypto/asymmetric_keys/x509_loader.c, v6.1).
func parseCertList(list []byte) (certs []*x509.Certificate, unread int, err error) {
	for len(list) > 0 {
		if len(list) < 4 || list[0] != 0x30 || list[1] != 0x82 {
			return nil, 0, errors.New("its list of certificates is malformed")
		}
		length := int(list[2])<<8 + int(list[3]) + 4
		if length > len(list) {
			return nil, 0, errors.New("its list of certificates is cut short")
		}
		if c, err := x509.ParseCertificate(list[:length:length]); err == nil {
			certs = append(certs, c)
		} else {
			unread++
		}
		list = list[length:]
	}
	return certs, unread, nil
}

// checkRunning compares the image with the kernel that runs below dir, where
// there is one: another build of one release has other keys.
func checkRunning(dir string, im *kimage.Image, syms *kimage.Symbols) error {
	const most = 4 << 10
	running, err := os.ReadFile(filepath.Join(dir, "proc/version"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil || len(running) > most {
		return fmt.Errorf("read which kernel runs: %w", errors.Join(err))
	}
	banner, err := im.Banner(syms)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(running)); got != banner.Text {
		return fmt.Errorf("it is %q, and %q runs", syntax.Clip(banner.Text), syntax.Clip(got))
	}
	return nil
}

// efiListName is the machine owner's list of keys, as shim leaves it.
const efiListName = "sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"

// Owner reads the keys that the machine's owner enrolled (MOK), below
// root. It gives none where there are none.
func Owner(dir string) (*Keys, error) {
	const most = 1 << 20
	keys := &Keys{From: "the machine owner's keys (MokListRT)"}
	list, err := regular.Read(filepath.Join(dir, efiListName), most)
	if errors.Is(err, os.ErrNotExist) {
		return keys, nil
	}
	if err == nil {
		keys.Certs, keys.Unread, err = parseEFIList(list)
	}
	if err != nil {
		return nil, fmt.Errorf("read the machine owner's keys: %w", err)
	}
	return keys, nil
}
