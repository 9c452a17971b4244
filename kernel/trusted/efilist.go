package trusted

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
)

// efiCertX509 is EFI_CERT_X509_GUID, a5c059a1-94e4-4aa7-87b5-ab155c2bf072, as
// it is stored (UEFI specification 2.10, 32.4.1.1).
var efiCertX509 = []byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}

// parseEFIList takes the certificates out of a variable of efivarfs: four
// bytes of attributes, then EFI_SIGNATURE_LISTs: a GUID that says what is in it, the sizes of
// the list, of a header and of each entry, the header, and entries of an owner's
// GUID and data. Hashes are left out.
func parseEFIList(data []byte) (certs []*x509.Certificate, unread int, err error) {
	const attributes, header, owner = 4, 28, 16
	malformed := errors.New("the list of keys is malformed")
	if len(data) < attributes {
		return nil, 0, malformed
	}
	for data = data[attributes:]; len(data) > 0; {
		if len(data) < header {
			return nil, 0, malformed
		}
		le := binary.LittleEndian
		list, extra, entry := uint64(le.Uint32(data[16:])), uint64(le.Uint32(data[20:])), uint64(le.Uint32(data[24:]))
		if list > uint64(len(data)) || list < header+extra || entry <= owner {
			return nil, 0, malformed
		}
		if bytes.HasPrefix(data, efiCertX509) {
			for rest := data[header+extra : list]; uint64(len(rest)) >= entry; rest = rest[entry:] {
				if c, err := x509.ParseCertificate(rest[owner:entry]); err == nil {
					certs = append(certs, c)
				} else {
					unread++
				}
			}
		}
		data = data[list:]
	}
	return certs, unread, nil
}
