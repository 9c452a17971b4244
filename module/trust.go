package module

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/kernel/trusted"
	"github.com/klpforge/klpforge/modsign"
)

// KeysDir holds certificates that the machine's administrator trusts for
// livepatches, beside those that the kernel has: PEM or DER, named
// *.x509, *.pem, *.crt, *.cer or *.der.
const KeysDir = "/etc/klpforge/keys"

// Keyring is what signatures of modules are checked against on a machine.
type Keyring struct {
	sources  []*trusted.Keys
	problems []string // why keys that the kernel may know were not read
}

// ReadKeyring reads the keys of the machine below root whose kernel has a
// release: those built into the kernel, the machine owner's, and those of
// KeysDir. What cannot be read is kept in mind, see Check.
func ReadKeyring(root, release string) *Keyring {
	keyring := &Keyring{}
	for _, read := range []func() (*trusted.Keys, error){
		func() (*trusted.Keys, error) { return trusted.Builtin(root, release) },
		func() (*trusted.Keys, error) { return trusted.Owner(root) },
		func() (*trusted.Keys, error) { return administrators(root) },
	} {
		keys, err := read()
		if err != nil {
			keyring.problems = append(keyring.problems, err.Error())
			continue
		}
		keyring.sources = append(keyring.sources, keys)
		if keys.Unread > 0 {
			keyring.problems = append(keyring.problems, fmt.Sprintf("%d certificate(s) in %s could not be parsed",
				keys.Unread, keys.From))
		}
	}
	return keyring
}

func administrators(root string) (*trusted.Keys, error) {
	const most = 1 << 20
	dir := filepath.Join(root, KeysDir)
	keys := &trusted.Keys{From: dir}

	// No directory means that nothing was configured, which is the normal case.
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return keys, nil
	}
	if err != nil {
		return nil, err
	}

	// Files that cannot be read or parsed are counted: one of them might be the key that a
	// signature asks for.
	for _, entry := range entries {
		switch filepath.Ext(entry.Name()) {
		case ".x509", ".pem", ".crt", ".cer", ".der":
		default:
			continue
		}
		text, err := regular.Read(filepath.Join(dir, entry.Name()), most)
		if err != nil {
			keys.Unread++
			continue
		}
		if !strings.Contains(string(text), "-----BEGIN ") {
			text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue
			}
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				keys.Certs = append(keys.Certs, c)
			} else {
				keys.Unread++
			}
		}
	}
	return keys, nil
}

// Trust is how far what a module says of itself is vouched for.
type Trust struct {
	// Trusted says that a key of the keyring signed the module as it is.
	Trusted bool
	// Forged says that the signature names a key of the keyring, and does not
	// match: the kernel refuses such a module whatever its policy
	// (module_sig_check in kernel/module/signing.c, v6.1).
	Forged bool
	Reason string // for people: by whom, or why not
}

// Check checks the signature of an uncompressed module. keys is called only
// for a module that has one.
func Check(data []byte, keys func() *Keyring) Trust {
	signature, err := modsign.Parse(data)
	if errors.Is(err, modsign.ErrUnsigned) {
		return Trust{Reason: "the module is not signed"}
	}
	if err != nil {
		return Trust{Reason: "its signature cannot be checked: " + err.Error()}
	}
	keyring := keys()
	known := 0
	var failed Trust // of the keys that it names; several certificates may have one name and number
	for _, source := range keyring.sources {
		known += len(source.Certs)
		for _, cert := range source.Certs {
			if !signature.By(cert) {
				continue
			}
			switch err := modsign.Verify(data, cert); {
			case err == nil:
				return Trust{Trusted: true, Reason: fmt.Sprintf("signed by %s, a key in %s", signature.Issuer,
					source.From)}
			case errors.Is(err, modsign.ErrMismatch):
				failed = Trust{Forged: true, Reason: fmt.Sprintf("it is signed in the name of %s, a key in %s, and %v",
					signature.Issuer, source.From, err)}
			default:
				failed = Trust{Reason: "its signature cannot be checked: " + err.Error()}
			}
		}
	}
	if failed.Reason != "" {
		return failed
	}
	by := fmt.Sprintf("signed by %s (serial %x), a key that is not among the %d of this kernel, of its owner and in %s",
		signature.Issuer, signature.Serial, known, KeysDir)
	if len(keyring.problems) > 0 {
		by += "; some could not be read: " + strings.Join(keyring.problems, "; ")
	}
	return Trust{Reason: by}
}
