package kbuild

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// What a source includes, and what its assembly takes in, becomes part of the module.
// A file of the build machine must not: the sandbox keeps programs from reading it,
// and what they did read is compared here, also where there is no sandbox. The
// compiler lists what it read (-MMD), and so does the assembler (--MD), whatever
// macros and pieces a name was made of.

// OutsideError reports that a source reads a file which is not of the kernel's tree.
type OutsideError struct {
	Object    string
	Path      string // of the file outside
	Construct string // what reads it: "#include", ".incbin or .include", or "" if that is not known
}

func (e *OutsideError) Error() string {
	how := "a source of it"
	if e.Construct != "" {
		how = e.Construct
	}
	return fmt.Sprintf("compile %s: %s reads %s, which is outside of the kernel's tree", e.Object, how, e.Path)
}

// Outside is a construct in a text that names a file outside of the tree.
type Outside struct {
	Line      int
	Construct string // the directive, such as "#include" or ".incbin"
	Path      string // the file
}

var (
	includeForm  = regexp.MustCompile(`^\s*(?:#|%:|\?\?=)\s*(include|include_next|import|embed)\s*["<]([^">]+)[">]`)
	hasForm      = regexp.MustCompile(`\b(__has_include|__has_include_next|__has_embed)\s*\(\s*["<]([^">]+)[">]`)
	assemblyForm = regexp.MustCompile(`\.(incbin|include)(?:\s|\\[tn])*\\*"([^"\\]+)`)
)

// readForms are the forms with what stands before the word that each captures.
var readForms = []struct {
	form *regexp.Regexp
	mark string
}{{includeForm, "#"}, {hasForm, ""}, {assemblyForm, "."}}

// ReadsOutside finds constructs that name a file outside of the tree in the lines of
// a source that the old text, which may be nil, does not have. rel is the source's
// place in the tree. It sees what is written plainly; compiling finds the rest.
func ReadsOutside(rel string, old, text []byte) []Outside {
	known := map[string]bool{}
	for line := range strings.Lines(string(old)) {
		known[strings.TrimSpace(line)] = true
	}
	var out []Outside
	count := 0
	for line := range strings.Lines(string(text)) {
		count++
		if known[strings.TrimSpace(line)] {
			continue
		}
		for _, form := range readForms {
			for _, match := range form.form.FindAllStringSubmatch(line, -1) {
				from := path.Dir(rel)
				if form.form == assemblyForm {
					from = "." // the assembler works at the tree's root
				}
				if name := match[2]; path.IsAbs(name) || strings.HasPrefix(path.Join(from, name), "../") {
					out = append(out, Outside{count, form.mark + match[1], name})
				}
			}
		}
	}
	return out
}

// compilerHeaders are where compilers keep headers of their own.
var compilerHeaders = regexp.MustCompile(`/lib(32|64|exec)?/(gcc|gcc-cross|clang|llvm[^/]*)/`)

// inside reports whether a file that was read belongs to the tree, to its copy, or to
// the compiler. A relative name is one at the root of the copy.
func (w *Work) inside(name string) bool { return inside(name, w.base, w.tree.base) }

func inside(name string, roots ...string) bool {
	if !path.IsAbs(name) {
		clean := path.Clean(name)
		return clean != ".." && !strings.HasPrefix(clean, "../")
	}
	name = path.Clean(name)
	for _, dir := range roots {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return compilerHeaders.MatchString(name)
}

// asmDepFile is where the assembler lists what it reads for an object.
func (w *Work) asmDepFile(obj string) string {
	return filepath.Join(w.base, "asm", strings.ReplaceAll(obj, "/", "!")+".d")
}

// listAssembled makes a compile command tell what the assembler reads; it changes
// nothing of the object. Only GNU as has the option.
func (w *Work) listAssembled(obj, cmd string) (string, error) {
	const before = " -Wp,-MMD,"
	if strings.Contains(w.tree.CCVersion, "clang") || strings.Count(cmd, before) != 1 {
		return cmd, nil
	}
	file := w.asmDepFile(obj)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return strings.Replace(cmd, before, " -Wa,--MD,"+file+before, 1), nil
}

// checkAssembled looks at what the assembler read.
func (w *Work) checkAssembled(obj string) error {
	data, err := os.ReadFile(w.asmDepFile(obj))
	if errors.Is(err, os.ErrNotExist) {
		return nil // the object comes from a compiler cache, or of another assembler
	}
	if err != nil {
		return fmt.Errorf("read what was assembled for %s: %w", obj, err)
	}
	_, list, _ := strings.Cut(string(data), ":")
	for _, f := range strings.Fields(strings.ReplaceAll(list, "\\\n", " ")) {
		if !w.inside(f) {
			return &OutsideError{obj, f, ".incbin or .include"}
		}
	}
	return nil
}

var (
	// "x.c:1:10: fatal error: /etc/shadow: Permission denied"
	deniedInclude = regexp.MustCompile(`(?m)^(\S+?):\d+(?::\d+)?: (?:fatal )?error: (\S+): Permission denied$`)
	// "Error: file not found: /etc/shadow", "Error: can't open /etc/shadow for reading: Permission denied"
	deniedAssembly = regexp.MustCompile(`Error: (?:file not found: (\S+)|can't open (\S+) for reading)`)
	// A place in a file, as in "/etc/passwd:1:5: error:" or "from /etc/passwd:1".
	errorPlace = regexp.MustCompile(`(?m)(?:^|from )([^\s:]+):\d+`)
)

// outsideOf tells a compilation that failed because it was kept from a file, or read
// one that is none of its business. Nothing of the file's contents gets into the error.
func (w *Work) outsideOf(obj, output string) error {
	return outsideOf(obj, output, w.base, w.tree.base)
}

func outsideOf(obj, output string, roots ...string) error {
	if m := deniedInclude.FindStringSubmatch(output); m != nil {
		return &OutsideError{obj, m[2], "#include in " + strings.TrimPrefix(m[1], roots[0]+"/")}
	}
	for _, m := range deniedAssembly.FindAllStringSubmatch(output, -1) {
		if name := m[1] + m[2]; !inside(name, roots...) {
			return &OutsideError{obj, name, ".incbin or .include"}
		}
	}
	for _, m := range errorPlace.FindAllStringSubmatch(output, -1) {
		if !inside(m[1], roots...) {
			return &OutsideError{obj, m[1], "#include"}
		}
	}
	return nil
}
