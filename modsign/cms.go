package modsign

import (
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// The structures of a CMS signature (RFC 5652), as far as a module needs them.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version     int
	Digests     []pkix.AlgorithmIdentifier `asn1:"set"`
	Encap       encapContent
	SignerInfos []signerInfo `asn1:"set"`
}

type encapContent struct {
	Type asn1.ObjectIdentifier
}

type signerInfo struct {
	Version   int
	Issuer    issuerAndSerial
	Digest    pkix.AlgorithmIdentifier
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue // a Name
	Serial *big.Int
}

var (
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// digest is a hash that a module can be signed with.
type digest struct {
	name  string
	hash  crypto.Hash
	oid   asn1.ObjectIdentifier
	ecdsa asn1.ObjectIdentifier // ecdsa-with-…
	// config is the kernel's option for it, without CONFIG_.
	config string
}

var digests = []digest{
	{"sha512", crypto.SHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3},
		asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, "CRYPTO_SHA512"},
	{"sha384", crypto.SHA384, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2},
		asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, "CRYPTO_SHA512"},
	{"sha256", crypto.SHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1},
		asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, "CRYPTO_SHA256"},
}

// digestNamed finds a hash by name; "" is the first.
func digestNamed(name string) (digest, error) {
	for _, wanted := range digests {
		if name == "" || wanted.name == name {
			return wanted, nil
		}
	}
	return digest{}, fmt.Errorf("hash %q: want sha256, sha384 or sha512", name)
}

func digestOf(oid asn1.ObjectIdentifier) (digest, error) {
	for _, wanted := range digests {
		if wanted.oid.Equal(oid) {
			return wanted, nil
		}
	}
	return digest{}, fmt.Errorf("digest algorithm %v is not supported", oid)
}

func sum(d digest, data []byte) []byte {
	h := d.hash.New()
	h.Write(data)
	return h.Sum(nil)
}
