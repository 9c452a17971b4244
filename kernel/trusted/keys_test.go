package trusted

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/elf"
	"encoding/binary"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// certificate makes a self-signed one, longer than 256 bytes as the list needs it.
func certificate(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func names(certs []*x509.Certificate) []string {
	var out []string
	for _, c := range certs {
		out = append(out, c.Subject.CommonName)
	}
	return out
}

// imageWithKeys is a vmlinux whose list of certificates is as certs/system_certificates.S lays it out.
func imageWithKeys(list []byte) []byte {
	const at = kerneltest.Init + 0x4000
	size := binary.LittleEndian.AppendUint64(nil, uint64(len(list)))
	padded := append(slices.Clone(list), make([]byte, (8-len(list)%8)%8)...)
	syms := append(kerneltest.Symbols(true), kerneltest.Symbol{Addr: at, Type: 'd', Name: "system_certificate_list"}, kerneltest.Symbol{Addr: at + uint64(len(padded)), Type: 'd', Name: "system_certificate_list_size"})
	return kerneltest.Vmlinux(kerneltest.Layouts[3], syms, false,
		kerneltest.Section{Name: ".init.rodata", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Addr: at, Data: append(padded, size...)})
}

func TestBuiltin(t *testing.T) {
	const release = "6.1.0-9-test"
	one, two := certificate(t, "the build's own"), certificate(t, "the distribution's")
	list := slices.Concat(one, two)
	for name, c := range map[string]struct {
		list    []byte
		version string // what runs, "" for no /proc
		want    []string
		err     string
	}{
		"two":            {list, "", []string{"the build's own", "the distribution's"}, ""},
		"none":           {nil, "", nil, ""},
		"running":        {list, kerneltest.Banner, []string{"the build's own", "the distribution's"}, ""},
		"another runs":   {list, strings.Replace(kerneltest.Banner, "#1 ", "#2 ", 1), nil, "runs"},
		"cut short":      {list[:len(list)-9], "", nil, "cut short"},
		"no certificate": {append(slices.Clone(one), 0, 0, 0, 0), "", nil, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			kerneltest.Write(t, filepath.Join(root, "boot/vmlinuz-"+release), kerneltest.BzImage(t, "xz", imageWithKeys(c.list)))
			if c.version != "" {
				kerneltest.Write(t, filepath.Join(root, "proc/version"), []byte(c.version))
			}
			k, err := Builtin(root, release)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %+v, %v", k, err)
				}
				return
			}
			if err != nil || !slices.Equal(names(k.Certs), c.want) || k.Unread != 0 {
				t.Errorf("got %+v, %v", k, err)
			}
		})
	}
	if _, err := Builtin(t.TempDir(), release); err == nil || !strings.Contains(err.Error(), "no image") {
		t.Errorf("without an image: %v", err)
	}
}

func TestOwner(t *testing.T) {
	root := t.TempDir()
	if k, err := Owner(root); err != nil || len(k.Certs) != 0 {
		t.Errorf("none: %+v, %v", k, err)
	}
	good := efiVariable(certificate(t, "mine"))
	kerneltest.Write(t, filepath.Join(root, efiListName), good)
	if k, err := Owner(root); err != nil || !slices.Equal(names(k.Certs), []string{"mine"}) {
		t.Errorf("one: %+v, %v", k, err)
	}
	for n := range len(good) - 1 {
		certs, _, err := parseEFIList(good[:n])
		if err == nil && n != 4 && n != 4+28+16+32 || len(certs) > 0 {
			t.Fatalf("%d of %d bytes: %d certificates, %v", n, len(good), len(certs), err)
		}
	}
}

// efiVariable is MokListRT with a hash and a certificate.
func efiVariable(der []byte) []byte {
	le := binary.LittleEndian
	list := func(guid, data []byte) []byte {
		out := slices.Clone(guid)
		for _, n := range []int{28 + 16 + len(data), 0, 16 + len(data)} {
			out = le.AppendUint32(out, uint32(n))
		}
		return slices.Concat(out, make([]byte, 16), data)
	}
	return slices.Concat([]byte{6, 0, 0, 0}, list(make([]byte, 16), make([]byte, 32)), list(efiCertX509, der))
}

func FuzzEFIList(f *testing.F) {
	f.Add(efiVariable(certificate(f, "mine")))
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, _, err := parseEFIList(b)
		if err != nil && len(certs) > 0 {
			t.Error("certificates beside an error")
		}
	})
}
