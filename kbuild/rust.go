package kbuild

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Objects in Rust are not built for a livepatch: they are made of a whole crate at a time,
// and what they link by is no interface of C. Without rustc, kconfig drops CONFIG_RUST
// from the prepared tree; C code is compiled all the same, and only what tests that
// option differs.

// rust reports whether the kernel has code in Rust.
func (c *kconfig) rust() bool { return c.values["CONFIG_RUST"] == "y" }

// rustTools are what CONFIG_RUST asks for (scripts/rust_is_available.sh, v6.1 to v7.2), and
// Debian's packages of them.
var rustTools = []struct{ what, pkg string }{
	{"rustc", "rustc"}, {"bindgen", "bindgen"}, {"the source of Rust's core library", "rust-src"},
}

// rustState identifies what there is of rustTools: with others, kconfig may decide
// otherwise.
func (p *preparation) rustState(ctx context.Context) (found []bool, id string) {
	found = make([]bool, len(rustTools))
	if !p.config.rust() {
		return found, ""
	}
	for i, program := range []string{"rustc", "bindgen"} {
		if !onPath(program)() {
			continue
		}
		text, err := versionLine(ctx, program)
		found[i] = err == nil
		id += "\n" + text
	}
	if found[0] {
		// As rust/Makefile finds RUST_LIB_SRC.
		out, err := command{name: "rustc --print sysroot", env: baseEnv(),
			argv: []string{"rustc", "--print", "sysroot"}}.run(ctx)
		if err == nil {
			src := filepath.Join(strings.TrimSpace(string(out)), "lib/rustlib/src/rust/library/core/src/lib.rs")
			_, err = os.Stat(src)
		}
		found[2] = err == nil
		id += fmt.Sprintf("\nrust-src %v", found[2])
	}
	return found, id
}

// withoutRust makes one difference of those that a tree without CONFIG_RUST has, and says
// what is missing.
func (p *preparation) withoutRust(diffs []ConfigDiff) {
	i := slices.IndexFunc(diffs, func(d ConfigDiff) bool { return d.Name == "CONFIG_RUST" && d.Want == "y" })
	if i < 0 {
		return
	}
	var missing, packages []string
	for j, found := range p.rustFound {
		if !found {
			missing, packages = append(missing, rustTools[j].what), append(packages, rustTools[j].pkg)
		}
	}
	diffs[i].Remedy = "rustc or bindgen is not of a version that the kernel takes (Documentation/process/changes.rst " +
		"says which); C code that tests CONFIG_RUST is compiled otherwise"
	if len(missing) > 0 {
		diffs[i].Remedy = fmt.Sprintf("%s missing; C code that tests CONFIG_RUST is compiled otherwise. Install them "+
			"with: apt-get install %s",
			strings.Join(missing, ", "), strings.Join(packages, " "))
	}
	for j, d := range diffs {
		if strings.HasPrefix(d.Name, "CONFIG_RUST_") || strings.Contains(d.Name, "_RUST_") ||
			strings.HasSuffix(d.Name, "_RUST") && d.Name != "CONFIG_RUST" {
			diffs[j].Expected = true // depends on CONFIG_RUST
		}
	}
}

// isRust tells sources in Rust of the kernel from those of tools and samples.
func isRust(file string) bool {
	first, _, _ := strings.Cut(file, "/")
	return filepath.Ext(file) == ".rs" && !slices.Contains([]string{"tools", "samples", "scripts", "Documentation"},
		first)
}

// useRust tells which changed sources in Rust the target is made of. Where the prepared
// tree has no Rust, nothing tells, and all are taken to be.
func (t *Tree) useRust(db *ownerDB, files []ChangedFile) {
	for i, f := range files {
		if f.Class == ClassRust {
			files[i].Used = t.meta.Rust && (!t.configured("RUST") || t.inCrate(db, f.Path))
		}
	}
}

// inCrate reports whether a source in Rust is part of something that the configuration
// builds: the kernel's own crates below rust/, an object of its name, or one beside or
// above it, whose module it is.
func (t *Tree) inCrate(db *ownerDB, file string) bool {
	if strings.HasPrefix(file, "rust/") {
		return true
	}
	own := strings.TrimSuffix(file, ".rs") + ".o"
	for obj, f := range db.Objects {
		if !f.Vmlinux && len(f.Modules) == 0 {
			continue
		}
		if obj == own || path.Ext(db.source(t.Dir, obj)) == ".rs" && strings.HasPrefix(file, path.Dir(obj)+"/") {
			return true
		}
	}
	return false
}
