package cachedir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/internal/sealed"
)

// Manifest says what a fetched release consists of. It lies beside root/, and is
// written when that is complete.
type Manifest struct {
	Release  string   `json:"release"`
	Source   string   `json:"source,omitempty"`   // version of the packed source
	Packages []string `json:"packages,omitempty"` // name=version, sorted
	// Suite is that of the archive they came from; "" for the machine's own package sources.
	Suite string `json:"suite,omitempty"`
	// Sum is the digest of the rest; "" in manifests of earlier versions.
	Sum string `json:"sum,omitempty"`
}

// digest is that of the content, for Sum.
func (m Manifest) digest() string {
	text := fmt.Appendf(nil, "%q %q %q", m.Release, m.Source, m.Packages)
	if m.Suite != "" {
		text = fmt.Appendf(text, " %q", m.Suite)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Names are the names of the packages, without versions.
func (m Manifest) Names() []string {
	var out []string
	for _, p := range m.Packages {
		name, _, _ := strings.Cut(p, "=")
		out = append(out, name)
	}
	return out
}

func (c Dir) manifest(release string) string {
	return filepath.Join(c.Target(release), "manifest.json")
}

// Manifest reads the manifest of a release. The error wraps fs.ErrNotExist when
// the release was not fetched; a manifest that is damaged is removed.
func (c Dir) Manifest(release string) (Manifest, error) {
	var manifest Manifest
	path := c.manifest(release)
	text, err := sealed.ReadPlain(path)
	if errors.Is(err, os.ErrNotExist) {
		return manifest, err
	}
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	}
	if err == nil && (manifest.Release != release || manifest.Sum != "" && manifest.Sum != manifest.digest()) {
		err = fmt.Errorf("%w: its checksum does not match", sealed.ErrDamaged)
	}
	if err != nil {
		sealed.Note(string(c), path, err)
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return manifest, nil
}

// WriteManifest writes the manifest of a release, with its digest.
func (c Dir) WriteManifest(manifest Manifest) error {
	manifest.Sum = manifest.digest()
	b, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(c.manifest(manifest.Release), append(b, '\n'))
}
