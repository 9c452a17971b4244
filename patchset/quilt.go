package patchset

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
)

// quiltEntry is one line of a quilt series.
type quiltEntry struct {
	name  string // slash path relative to the series file
	strip int    // as ReadOptions.Strip
	line  int    // 1-based
}

// quilt reads the patches that a series file lists.
func (r *reader) quilt(file string) error {
	text, err := r.seriesText(file)
	if err != nil {
		return err
	}
	entries, err := parseQuilt(file, text, r.opts.Strip)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("read series %s: it lists no patch: %w", file, ErrEmpty)
	}
	for _, e := range entries {
		p := filepath.Join(filepath.Dir(file), filepath.FromSlash(e.name))
		if err := r.file(p, e.name, e.strip); err != nil {
			return fmt.Errorf("series %s: line %d: %w", file, e.line, err)
		}
	}
	return nil
}

func (r *reader) seriesText(file string) (string, error) {
	f, err := regular.OpenPiped(file)
	if err != nil {
		return "", fmt.Errorf("read series: %w", err)
	}
	defer f.Close()
	return r.text(file, f)
}

// parseQuilt reads the lines of a series: a patch name, then options, of
// which only the strip level (-p N, -pN, -pab) changes how a patch is read.
// A "#" at the start of a line or after white space starts a comment.
func parseQuilt(file, text string, strip int) ([]quiltEntry, error) {
	var out []quiltEntry
	n := 0
	for line := range strings.Lines(text) {
		n++
		fail := func(format string, args ...any) error {
			return &ParseError{Patch: file, Line: n, Err: fmt.Errorf(format, args...)}
		}
		fields := strings.Fields(line)
		for i, f := range fields {
			if strings.HasPrefix(f, "#") {
				fields = fields[:i]
				break
			}
		}
		if len(fields) == 0 {
			continue
		}
		e := quiltEntry{name: fields[0], strip: strip, line: n}
		// quilt's own default is one level; let the names decide unless told.
		for i := 1; i < len(fields); i++ {
			opt, ok := strings.CutPrefix(fields[i], "-p")
			if !ok {
				return nil, fail("option %s of %s is not supported, only -p is", fields[i], e.name)
			}
			if opt == "" && i+1 < len(fields) {
				i++
				opt = fields[i]
			}
			switch level, err := strconv.Atoi(opt); {
			case opt == "ab":
				e.strip = 1
			case err != nil || level < 0 || level > 100:
				return nil, fail("malformed strip level %q of %s", opt, e.name)
			case level == 0:
				e.strip = StripNone
			default:
				e.strip = level
			}
		}
		for c := range strings.SplitSeq(e.name, "/") {
			if c == ".." {
				return nil, &PathError{Patch: file, Path: e.name, Reason: "a series may only name patches below its own directory"}
			}
		}
		if strings.HasPrefix(e.name, "/") || strings.ContainsRune(e.name, 0) {
			return nil, &PathError{Patch: file, Path: e.name, Reason: "a series may only name patches below its own directory"}
		}
		e.name = path.Clean(e.name)
		out = append(out, e)
	}
	return out, nil
}
