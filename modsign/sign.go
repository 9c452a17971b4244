package modsign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/klpforge/klpforge/internal/regular"
)

// Behind a signed module come the signature, struct module_signature and the
// magic string.
const (
	magic      = "~Module signature appended~\n"
	infoLen    = 12 // struct module_signature
	idPKCS7    = 2  // PKEY_ID_PKCS7
	idTypeByte = 2  // its place in the struct
)

// maxKeyFile bounds the file of a key or a certificate, in bytes.
const maxKeyFile = 1 << 20

// Signer signs modules with one key.
type Signer struct {
	key    crypto.Signer
	cert   *x509.Certificate
	hash   digest
	chosen bool // hash was asked for, not the default
}

// For returns the signer for a kernel that signs its own modules with hash
// (CONFIG_MODULE_SIG_HASH): it uses that hash when Load was given none. "" leaves
// the default.
func (s *Signer) For(hash string) (*Signer, error) {
	if s.chosen || hash == "" {
		return s, nil
	}
	wanted, err := digestNamed(hash)
	if err != nil {
		return nil, fmt.Errorf("sign as the kernel signs its modules: %w; choose one of these", err)
	}
	out := *s
	out.hash, out.chosen = wanted, true
	return &out, nil
}

// Needs lists the options, without CONFIG_, that a kernel must have built in to
// check a signature. As a module they count only once it is loaded: until then
// the kernel refuses the signature as "unsupported crypto".
func (s *Signer) Needs() []string {
	key := "CRYPTO_RSA"
	if _, ok := s.key.Public().(*ecdsa.PublicKey); ok {
		key = "CRYPTO_ECDSA"
	}
	return []string{s.hash.config, key}
}

// Load reads a private key and its certificate. The key is PEM (PKCS#8, PKCS#1
// or SEC 1), RSA or ECDSA, without a passphrase; the certificate PEM or DER. One
// file may hold both, as the kernel's signing_key.pem does. hash is "sha256",
// "sha384" or "sha512"; "" is sha512, or what For is given. A key that does not belong
// to the certificate is an error.
//
// In place of the file, keyFile may be the PKCS#11 URI of a key in a token
// ("pkcs11:…"). openssl then signs, see PINVariable.
func Load(keyFile, certFile, hash string) (*Signer, error) {
	wanted, err := digestNamed(hash)
	if err != nil {
		return nil, fmt.Errorf("sign modules: %w", err)
	}
	signer := &Signer{hash: wanted, chosen: hash != ""}

	// The token holds the private key back, so whether it is that of the certificate shows only
	// when the first signature is checked.
	if InToken(keyFile) {
		if signer.cert, err = ReadCert(certFile); err != nil {
			return nil, err
		}
		if signer.key, err = newTokenKey(keyFile, signer.cert); err != nil {
			return nil, err
		}
		return signer, nil
	}
	if signer.key, err = readKey(keyFile); err != nil {
		return nil, fmt.Errorf("read signing key %s: %w", keyFile, err)
	}
	if signer.cert, err = ReadCert(certFile); err != nil {
		return nil, err
	}

	// The kernel would refuse a signature by another key only when the module is loaded; that is
	// too late.
	switch pub := signer.key.Public().(type) {
	case *rsa.PublicKey:
		if !pub.Equal(signer.cert.PublicKey) {
			return nil, fmt.Errorf("sign modules: the key %s is not that of the certificate %s", keyFile, certFile)
		}
	case *ecdsa.PublicKey:
		if !pub.Equal(signer.cert.PublicKey) {
			return nil, fmt.Errorf("sign modules: the key %s is not that of the certificate %s", keyFile, certFile)
		}
	default:
		return nil, fmt.Errorf("sign modules: the key %s is a %T; want RSA or ECDSA", keyFile, pub)
	}
	return signer, nil
}

func readKey(path string) (crypto.Signer, error) {
	text, err := regular.Read(path, maxKeyFile)
	if err != nil {
		return nil, err
	}

	// Other blocks may stand before the key: openssl writes the parameters of the curve there.
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errors.New("it has a passphrase: take that off, or keep the key in a token")
			}
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("it has a passphrase: take that off, or keep the key in a token")
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		if s, ok := key.(crypto.Signer); ok {
			return s, nil
		}
	}
	return nil, errors.New("no private key in PEM form in it")
}

// ReadCert reads the first certificate of a file, PEM or DER.
func ReadCert(path string) (*x509.Certificate, error) {
	text, err := regular.Read(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	der := text
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			der = block.Bytes
			break
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", path, err)
	}
	return cert, nil
}

// Sign returns the module with a signature behind it; one that it has already
// is replaced. The result has been verified.
func (s *Signer) Sign(module []byte) ([]byte, error) {
	body, _, err := Split(module)
	if err != nil {
		return nil, err
	}

	info := signerInfo{Version: 1, Issuer: issuerAndSerial{asn1.RawValue{FullBytes: s.cert.RawIssuer},
		s.cert.SerialNumber}, Digest: pkix.AlgorithmIdentifier{Algorithm: s.hash.oid}}
	if _, ok := s.key.Public().(*rsa.PublicKey); ok {
		info.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
	} else {
		info.Algorithm = pkix.AlgorithmIdentifier{Algorithm: s.hash.ecdsa}
	}
	if info.Signature, err = s.key.Sign(rand.Reader, sum(s.hash, body), s.hash.hash); err != nil {
		return nil, err
	}

	// The signature stands alone: no certificates, no signed attributes, as scripts/sign-file.c
	// makes it.
	der, err := asn1.Marshal(contentInfo{oidSignedData,
		signedData{Version: 1, Digests: []pkix.AlgorithmIdentifier{info.Digest}, Encap: encapContent{oidData},
			SignerInfos: []signerInfo{info}}})
	if err != nil {
		return nil, fmt.Errorf("encode signature: %w", err)
	}

	var tail [infoLen]byte
	tail[idTypeByte] = idPKCS7
	binary.BigEndian.PutUint32(tail[infoLen-4:], uint32(len(der)))
	out := bytes.Join([][]byte{body, der, tail[:], []byte(magic)}, nil)

	// A signature that does not verify here would be refused by the kernel, on a machine that
	// needs the fix.
	if err := Verify(out, s.cert); err != nil {
		return nil, fmt.Errorf("check the new signature: %w", err)
	}
	return out, nil
}

// Signature is what a module says about who signed it.
type Signature struct {
	Issuer string   // of the certificate
	Serial *big.Int // of the certificate
	Hash   string

	digest    digest
	rawIssuer []byte
	algorithm asn1.ObjectIdentifier
	value     []byte
}

// ErrUnsigned means that a module carries no signature.
var ErrUnsigned = errors.New("the module is not signed")

// ErrMismatch means that a module, or its signature, was changed after it was signed.
var ErrMismatch = errors.New("the signature does not match")

// Split divides a module from the signature behind it, which is nil when there
// is none.
func Split(module []byte) (body, signature []byte, err error) {
	rest, ok := bytes.CutSuffix(module, []byte(magic))
	if !ok {
		return module, nil, nil
	}
	if len(rest) < infoLen {
		return nil, nil, errors.New("module signature: cut short")
	}
	info := rest[len(rest)-infoLen:]
	rest = rest[:len(rest)-infoLen]
	n := binary.BigEndian.Uint32(info[infoLen-4:])
	if uint64(n) > uint64(len(rest)) || info[idTypeByte] != idPKCS7 {
		return nil, nil, fmt.Errorf("module signature: %d bytes of kind %d behind a module of %d", n, info[idTypeByte],
			len(rest))
	}
	cut := len(rest) - int(n)
	return rest[:cut:cut], rest[cut:], nil
}

// Parse reads the signature of a module. It fails with ErrUnsigned when there
// is none.
func Parse(module []byte) (*Signature, error) {
	_, der, err := Split(module)
	if err != nil {
		return nil, err
	}
	if der == nil {
		return nil, ErrUnsigned
	}

	var content contentInfo
	if rest, err := asn1.Unmarshal(der, &content); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("module signature is not PKCS#7 as the kernel takes it (%d bytes left): %w", len(rest),
			errors.Join(err))
	}

	// With several signers it would be open which one vouches.
	if !content.Type.Equal(oidSignedData) || len(content.Content.SignerInfos) != 1 {
		return nil, fmt.Errorf("module signature: type %v with %d signers", content.Type,
			len(content.Content.SignerInfos))
	}

	info := content.Content.SignerInfos[0]
	wanted, err := digestOf(info.Digest.Algorithm)
	if err != nil {
		return nil, err
	}
	signature := &Signature{Serial: info.Issuer.Serial, Hash: wanted.name, digest: wanted,
		rawIssuer: info.Issuer.Issuer.FullBytes, algorithm: info.Algorithm.Algorithm, value: info.Signature}
	var name pkix.RDNSequence
	if _, err := asn1.Unmarshal(signature.rawIssuer, &name); err != nil {
		return nil, fmt.Errorf("module signature: issuer: %w", err)
	}
	signature.Issuer = name.String()
	return signature, nil
}

// By reports whether the signature names a certificate. It proves nothing, see Verify.
func (s *Signature) By(cert *x509.Certificate) bool {
	return bytes.Equal(s.rawIssuer, cert.RawIssuer) && s.Serial.Cmp(cert.SerialNumber) == 0
}

// Verify checks the signature of a module with a certificate.
func Verify(module []byte, cert *x509.Certificate) error {
	signature, err := Parse(module)
	if err != nil {
		return err
	}
	if !signature.By(cert) {
		return fmt.Errorf("signed by certificate %v of %s, not by %v of %s", signature.Serial, signature.Issuer,
			cert.SerialNumber, cert.Issuer)
	}
	body, _, err := Split(module)
	if err != nil {
		return err
	}
	hashed := sum(signature.digest, body)
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if err := rsa.VerifyPKCS1v15(pub, signature.digest.hash, hashed, signature.value); err != nil {
			return fmt.Errorf("%w: %w", ErrMismatch, err)
		}
		return nil
	case *ecdsa.PublicKey:
		if !signature.algorithm.Equal(signature.digest.ecdsa) || !ecdsa.VerifyASN1(pub, hashed, signature.value) {
			return ErrMismatch
		}
		return nil
	}
	return fmt.Errorf("certificate with a key of type %T", cert.PublicKey)
}
