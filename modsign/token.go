package modsign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// tokenScheme begins the URI of a key in a token (RFC 7512).
const tokenScheme = "pkcs11:"

// InToken reports whether a key is named by the URI of a token rather than by a
// file.
func InToken(key string) bool { return strings.HasPrefix(key, tokenScheme) }

// PINVariable is the environment variable with the PIN of a token, as for the
// kernel's sign-file.
const PINVariable = "KBUILD_SIGN_PIN"

// tokenTimeout is how long a token may take for one signature.
const tokenTimeout = 2 * time.Minute

// tokenKey is a private key in a token. openssl signs with it through its engine
// pkcs11, as the kernel's sign-file does: a PKCS#11 module is a shared object,
// which a static program cannot load.
type tokenKey struct {
	uri  string
	cert *x509.Certificate
}

// newTokenKey also signs something, so that a wrong PIN or certificate is known
// before anything is built.
func newTokenKey(uri string, cert *x509.Certificate) (*tokenKey, error) {
	key := &tokenKey{uri, cert}
	hashed := sha512.Sum512([]byte("klpforge"))
	sig, err := key.Sign(nil, hashed[:], crypto.SHA512)
	if err != nil {
		return nil, err
	}
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		err = rsa.VerifyPKCS1v15(pub, crypto.SHA512, hashed[:], sig)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(pub, hashed[:], sig) {
			err = errors.New("its signature does not match")
		}
	default:
		err = fmt.Errorf("the certificate's key is a %T; want RSA or ECDSA", pub)
	}
	if err != nil {
		return nil, fmt.Errorf("the key in the token is not that of the certificate: %w", err)
	}
	return key, nil
}

// Public returns the key of the certificate.
func (k *tokenKey) Public() crypto.PublicKey { return k.cert.PublicKey }

// Sign signs a digest: PKCS #1 v1.5 with RSA, ASN.1 with ECDSA. The token has its
// own randomness.
func (k *tokenKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	name := ""
	for _, wanted := range digests {
		if wanted.hash == opts.HashFunc() {
			name = wanted.name
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), tokenTimeout)
	defer cancel()
	args := []string{"pkeyutl", "-sign", "-engine", "pkcs11", "-keyform", "engine", "-inkey", k.uri, "-pkeyopt",
		"digest:" + name}
	if os.Getenv(PINVariable) != "" {
		args = append(args, "-passin", "env:"+PINVariable)
	}
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it would ask the terminal for a PIN
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(digest), &out, &errs
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("sign with a token: there is no openssl; install openssl and libengine-pkcs11-openssl")
	case ctx.Err() != nil:
		return nil, fmt.Errorf("sign with a token: it did not answer within %v", tokenTimeout)
	case err != nil:
		return nil, fmt.Errorf("sign with the token %s: openssl: %w: %s (it needs its engine pkcs11, in Debian "+
			"libengine-pkcs11-openssl; the token's module in $PKCS11_MODULE_PATH, else p11-kit's; the PIN in $%s or "+
			"in a file that the URI names as pin-source)",
			withoutPIN(k.uri), err, withoutPIN(lastLines(errs.String(), 3)), PINVariable)
	}
	return out.Bytes(), nil
}

var pinRE = regexp.MustCompile(`pin-value=[^;&?\s"']*`)

// withoutPIN takes a PIN out of a text that people see.
func withoutPIN(s string) string { return pinRE.ReplaceAllString(s, "pin-value=…") }

// lastLines puts the last lines of a log into one.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
