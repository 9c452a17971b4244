package kbuild

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The headers that source patches may include beside the kernel's own. Only
// those without the name of this program in theirs are for authors.
//
//go:embed include
var authorHeaders embed.FS

// ProvideAuthorHeaders puts the headers for authors of source patches into the
// tree's include directory, where every compile command looks, if one of the
// texts includes one of them. Headers that the tree has itself stay as they are.
func (w *Work) ProvideAuthorHeaders(texts [][]byte) error {
	return provideHeaders(texts, func(name string, text []byte) error {
		rel := path.Join("include", name)
		if exists(filepath.Join(w.Dir, rel)) {
			return nil
		}
		return w.Write(rel, text)
	})
}

// ProvideAuthorHeaders puts the headers for authors of source patches where
// Build looks after all other places, if one of the texts includes one of them.
func (x *External) ProvideAuthorHeaders(texts [][]byte) error {
	return provideHeaders(texts, func(name string, text []byte) error {
		dst := filepath.Join(x.headers(), name)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		return os.WriteFile(dst, text, 0o644)
	})
}

// headers is the directory beside the copy for headers that it does not have.
func (x *External) headers() string { return filepath.Join(x.base, "include") }

// provideHeaders writes all headers if one of the texts asks for one.
func provideHeaders(texts [][]byte, write func(name string, text []byte) error) error {
	names, err := authorHeaderNames()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(texts, func(text []byte) bool { return asksForHeader(text, names) }) {
		return nil
	}
	for _, name := range names {
		text, err := authorHeaders.ReadFile("include/" + name)
		if err == nil {
			err = write(name, text)
		}
		if err != nil {
			return fmt.Errorf("provide %s: %w", name, err)
		}
	}
	return nil
}

// asksForHeader reports whether a text includes one of the headers that are
// for authors.
func asksForHeader(text []byte, names []string) bool {
	return slices.ContainsFunc(scanIncludes(text), func(i include) bool {
		return slices.Contains(names, i.name) && !strings.HasPrefix(i.name, "klpforge-")
	})
}

// authorHeaderNames lists the headers as #include names them.
func authorHeaderNames() ([]string, error) {
	var names []string
	err := fs.WalkDir(authorHeaders, "include", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(p, "include/"))
		}
		return err
	})
	return names, err
}
