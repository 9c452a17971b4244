package build

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
	"strings"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/modsign"
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

// provenance states what the module was made of. unsigned is the module before
// it was signed, which everybody can make again.
func (r *run) provenance(ko, unsigned []byte) ([]byte, error) {
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1",
		Subject: []resource{{Name: r.res.Plan.Name + ".ko", Digest: sha256Of(ko)}}}
	d := &s.Predicate.BuildDefinition
	p := &r.res.Plan
	d.BuildType = projectURL + "/build/v1"
	d.ExternalParameters = r.parameters()
	d.InternalParameters = map[string]any{"compiler": r.tree.CC, "compilerVersion": r.tree.CCVersion, "linuxVersion": r.tree.Version}
	sig, err := modsign.Parse(ko)
	if err == nil {
		d.InternalParameters["signature"] = map[string]string{"issuer": sig.Issuer, "serial": sig.Serial.String(), "hash": sig.Hash}
		s.Subject[0].Annotations = map[string]string{"unsigned-sha256": sha256Of(unsigned)["sha256"]}
	} else if !errors.Is(err, modsign.ErrUnsigned) {
		return nil, err
	}
	if len(p.States) > 0 {
		var states []map[string]any
		for _, x := range p.States {
			states = append(states, map[string]any{"id": x.ID, "version": x.Version, "meaning": x.Meaning})
		}
		d.InternalParameters["states"] = states
	}
	if d.ResolvedDependencies, err = r.inputs(); err != nil {
		return nil, fmt.Errorf("state the inputs: %w", err)
	}
	s.Predicate.RunDetails.Builder.ID = projectURL
	s.Predicate.RunDetails.Builder.Version = map[string]string{"klpforge": cmp.Or(r.opt.Builder, buildVersion())}
	out, err := json.MarshalIndent(s, "", "  ")
	return append(out, '\n'), err
}

// parameters are what its user asked for, beside files: whatever may change the
// module or what is accepted in it.
func (r *run) parameters() map[string]any {
	p, o := &r.res.Plan, &r.opt
	m := map[string]any{"kernel": p.Release, "name": p.Name, "replace": p.Replace, "allowed": append([]plan.Allowed{}, p.Allowed...)}
	for key, value := range map[string]string{"series": p.Product, "vendor": p.Vendor, "version": p.Version, "description": p.Description, "api": o.API, "range": o.GitRange} {
		if value != "" {
			m[key] = value
		}
	}
	for key, on := range map[string]bool{"immediate": o.Immediate, "noAutoCallers": o.NoAutoCallers, "skipCompilerCheck": o.AllowCompilerMismatch, "skipSourceCheck": o.AllowSourceMismatch, "trustPatch": o.TrustPatch} {
		if on {
			m[key] = true
		}
	}
	for key, n := range map[string]int{"strip": o.Strip, "fuzz": o.Fuzz} {
		if n != 0 {
			m[key] = n
		}
	}
	if len(o.Goals) > 0 {
		m["goals"] = o.Goals
	}
	return m
}

// buildVersion is this program's, as the Go toolchain recorded it.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(info.Main.Version, "(devel)")
	}
	return "(devel)"
}

// inputs lists the kernel's parts, the compiler and the patches, with digests.
func (r *run) inputs() ([]resource, error) {
	var out []resource
	k := r.target.K
	add := func(name string, path func() (string, error)) error {
		p, err := path()
		if err != nil {
			return err
		}
		x, err := hashed(name, p)
		out = append(out, x)
		return err
	}
	for _, part := range []struct {
		name string
		path func() (string, error)
	}{{"kernel image", k.ImagePath}, {"kernel configuration", k.ConfigPath}, {"Module.symvers", k.SymversPath}, {"compiler", r.compilerPath}} {
		if err := add(part.name, part.path); err != nil {
			return nil, err
		}
	}
	// Modules whose shipped code was compared and is replaced.
	for _, o := range r.res.Plan.Objects {
		if f, ok := r.target.modules.Find(o.Name); ok && o.Name != plan.Vmlinux {
			if err := add("module "+o.Name, func() (string, error) { return f.Path, nil }); err != nil {
				return nil, err
			}
		}
	}
	for _, path := range r.opt.Kernel.ExtraModules {
		if err := add("module", func() (string, error) { return path, nil }); err != nil {
			return nil, err
		}
	}
	src, err := k.Source()
	if err != nil {
		return nil, err
	}
	if src.Dir == "" {
		err = add("kernel source", func() (string, error) { return src.Tarball, nil })
	} else {
		err = addDir(&out, "kernel source", src.Dir)
	}
	if err == nil && r.opt.ExternalSource != "" {
		err = addDir(&out, "module source", r.opt.ExternalSource)
	}
	if err != nil {
		return nil, err
	}
	return r.patchInputs(out)
}

// patchInputs adds the patches in order. One that does not come from a file has
// the digest of its commit.
func (r *run) patchInputs(out []resource) ([]resource, error) {
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

// compilerPath is the compiler's program, without what is put before it.
func (r *run) compilerPath() (string, error) {
	words := strings.Fields(r.tree.CC)
	words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") })
	if len(words) == 0 {
		return "", errors.New("no compiler is known")
	}
	return kbuild.FindProgram(words[len(words)-1])
}

func sha256Of(b []byte) map[string]string {
	sum := sha256.Sum256(b)
	return map[string]string{"sha256": hex.EncodeToString(sum[:])}
}

// addDir adds a directory by the digest that in-toto calls dirHash, of all
// regular files but those of .git: the digest of a list like sha256sum's, in the
// order of names.
func addDir(out *[]resource, name, dir string) error {
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
	if err != nil {
		return err
	}
	slices.Sort(files)
	all := sha256.New()
	for _, f := range files {
		x, err := hashed(f, filepath.Join(dir, f))
		if err != nil {
			return err
		}
		fmt.Fprintf(all, "%s  %s\n", x.Digest["sha256"], f)
	}
	*out = append(*out, resource{Name: name, Digest: map[string]string{"dirHash": hex.EncodeToString(all.Sum(nil))}, Annotations: map[string]string{"files": fmt.Sprint(len(files)), "note": "without .git"}})
	return nil
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
