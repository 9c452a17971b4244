// Package provenance writes the statement that goes beside a module: of what it was
// made, by what, and at whose wish. It follows in-toto's Statement v1 and SLSA's
// Provenance v1, and has no times and no host, so that the same inputs give the same
// statement.
package provenance

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/klpforge/klpforge/modsign"
)

// Suffix is what the name of a module's statement ends in.
const Suffix = ".intoto.json"

const projectURL = "https://github.com/klpforge/klpforge"

// Statement is what is stated of a module.
type Statement struct {
	Name     string // of the file: "livepatch_fix.ko"
	File     []byte // the finished module
	Unsigned []byte // the module before it was signed, which everybody can make again
	Builder  string // version of this program; "" is what the Go toolchain recorded
	// Wishes are what its user asked for, besides files: whatever may change the module,
	// or what is accepted in it. Facts are what was found out, the compiler for one.
	Wishes, Facts map[string]any
	Inputs        []Input // in order
}

// Input is something that the module was made of.
type Input struct {
	Name        string            `json:"name"`
	Digest      map[string]string `json:"digest,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// statement is the JSON form.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []Input   `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type predicate struct {
	BuildDefinition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   map[string]any `json:"externalParameters"`
		InternalParameters   map[string]any `json:"internalParameters"`
		ResolvedDependencies []Input        `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version"`
		} `json:"builder"`
	} `json:"runDetails"`
}

// JSON renders the statement. The signature of a signed module is among the facts.
func (s *Statement) JSON() ([]byte, error) {
	subject := Input{Name: s.Name, Digest: sha256Of(s.File)}
	facts := map[string]any{}
	for key, value := range s.Facts {
		facts[key] = value
	}
	switch sig, err := modsign.Parse(s.File); {
	case err == nil:
		facts["signature"] = map[string]string{"issuer": sig.Issuer, "serial": sig.Serial.String(), "hash": sig.Hash}
		subject.Annotations = map[string]string{"unsigned-sha256": sha256Of(s.Unsigned)["sha256"]}
	case !errors.Is(err, modsign.ErrUnsigned):
		return nil, err
	}

	out := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1", Subject: []Input{subject}}
	d := &out.Predicate.BuildDefinition
	d.BuildType, d.ExternalParameters, d.InternalParameters, d.ResolvedDependencies = projectURL+"/build/v1", s.Wishes, facts, s.Inputs
	out.Predicate.RunDetails.Builder.ID = projectURL
	out.Predicate.RunDetails.Builder.Version = map[string]string{"klpforge": cmp.Or(s.Builder, builtVersion())}
	text, err := json.MarshalIndent(out, "", "  ")
	return append(text, '\n'), err
}

// builtVersion is this program's, as the Go toolchain recorded it.
func builtVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(info.Main.Version, "(devel)")
	}
	return "(devel)"
}

// File is an input that is a file, by its digest.
func File(name, path string) (Input, error) {
	f, err := os.Open(path)
	if err != nil {
		return Input{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Input{}, err
	}
	return Input{Name: name, Digest: map[string]string{"sha256": hex.EncodeToString(h.Sum(nil))},
		Annotations: map[string]string{"file": filepath.Base(path)}}, nil
}

// Dir is an input that is a directory, by the digest that in-toto calls dirHash, of all
// regular files but those of .git: the digest of a list like sha256sum's, in the order
// of names.
func Dir(name, dir string) (Input, error) {
	files, err := regularFiles(dir)
	if err != nil {
		return Input{}, err
	}
	list := sha256.New()
	for _, file := range files {
		x, err := File(file, filepath.Join(dir, file))
		if err != nil {
			return Input{}, err
		}
		fmt.Fprintf(list, "%s  %s\n", x.Digest["sha256"], file)
	}
	return Input{Name: name, Digest: map[string]string{"dirHash": hex.EncodeToString(list.Sum(nil))},
		Annotations: map[string]string{"files": fmt.Sprint(len(files)), "note": "without .git"}}, nil
}

// regularFiles lists the files below a directory by slash path, without .git.
func regularFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			rel, err := filepath.Rel(dir, p)
			files = append(files, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	slices.Sort(files)
	return files, err
}

func sha256Of(b []byte) map[string]string {
	sum := sha256.Sum256(b)
	return map[string]string{"sha256": hex.EncodeToString(sum[:])}
}
