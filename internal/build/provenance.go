package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/plan"
)

// ProvenanceSuffix is what the name of a module's provenance ends in.
const ProvenanceSuffix = ".intoto.json"

// The statement follows in-toto's Statement v1 and SLSA's Provenance v1. It
// has no times and no host, so that the same inputs give the same statement.
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

type resource struct {
	Name        string            `json:"name"`
	Digest      map[string]string `json:"digest,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type predicate struct {
	BuildDefinition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   map[string]any `json:"externalParameters"`
		InternalParameters   map[string]any `json:"internalParameters"`
		ResolvedDependencies []resource     `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version"`
		} `json:"builder"`
	} `json:"runDetails"`
}

const projectURL = "https://github.com/klpforge/klpforge"

// provenance states what the module was made of.
func (r *run) provenance(ko []byte) ([]byte, error) {
	sum := sha256.Sum256(ko)
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1",
		Subject: []resource{{Name: r.res.Plan.Name + ".ko", Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}}}
	d := &s.Predicate.BuildDefinition
	p := &r.res.Plan
	d.BuildType = projectURL + "/build/v1"
	d.ExternalParameters = map[string]any{"kernel": p.Release, "name": p.Name, "replace": p.Replace}
	for key, value := range map[string]string{"series": p.Product, "vendor": p.Vendor, "version": p.Version} {
		if value != "" {
			d.ExternalParameters[key] = value
		}
	}
	d.ExternalParameters["allowed"] = append([]plan.Allowed{}, p.Allowed...)
	d.InternalParameters = map[string]any{"compiler": r.tree.CC, "compilerVersion": r.tree.CCVersion, "linuxVersion": r.tree.Version}
	var err error
	if d.ResolvedDependencies, err = r.inputs(); err != nil {
		return nil, fmt.Errorf("state the inputs: %w", err)
	}
	s.Predicate.RunDetails.Builder.ID = projectURL
	s.Predicate.RunDetails.Builder.Version = map[string]string{"klpforge": buildVersion()}
	out, err := json.MarshalIndent(s, "", "  ")
	return append(out, '\n'), err
}

// buildVersion is this program's, as the Go toolchain recorded it.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(info.Main.Version, "(devel)")
	}
	return "(devel)"
}

// inputs lists the kernel's parts and the patches, with digests of the files.
func (r *run) inputs() ([]resource, error) {
	var out []resource
	k := r.target.K
	for _, part := range []struct {
		name string
		path func() (string, error)
	}{{"kernel image", k.ImagePath}, {"kernel configuration", k.ConfigPath}, {"Module.symvers", k.SymversPath}} {
		path, err := part.path()
		if err != nil {
			return nil, err
		}
		x, err := hashed(part.name, path)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	src, err := k.Source()
	if err != nil {
		return nil, err
	}
	if src.Tarball != "" && src.Dir == "" {
		x, err := hashed("kernel source", src.Tarball)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	} else {
		out = append(out, resource{Name: "kernel source", Annotations: map[string]string{"tree": r.tree.Key, "note": "a directory; its files were not hashed"}})
	}
	for _, p := range r.res.Plan.Patches {
		x := resource{Name: "patch " + p.Name, Annotations: map[string]string{"content": p.Content}}
		if p.Subject != "" {
			x.Annotations["subject"] = p.Subject
		}
		if len(p.IDs) > 0 {
			x.Annotations["ids"] = strings.Join(p.IDs, " ")
		}
		if i := slices.IndexFunc(r.opt.Patches, func(f string) bool { return filepath.Base(f) == p.Name }); i >= 0 {
			h, err := hashed(x.Name, r.opt.Patches[i])
			if err != nil {
				return nil, err
			}
			x.Digest = h.Digest
		}
		if len(p.Name) == 40 && x.Digest == nil {
			x.Digest = map[string]string{"gitCommit": p.Name}
		}
		out = append(out, x)
	}
	return out, nil
}

func hashed(name, path string) (resource, error) {
	f, err := os.Open(path)
	if err != nil {
		return resource{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return resource{}, err
	}
	return resource{Name: name, Digest: map[string]string{"sha256": hex.EncodeToString(h.Sum(nil))}, Annotations: map[string]string{"file": filepath.Base(path)}}, nil
}
