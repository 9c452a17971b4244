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
	for _, entry := range entries {
		p := filepath.Join(filepath.Dir(file), filepath.FromSlash(entry.name))
		if err := r.file(p, entry.name, entry.strip); err != nil {
			return fmt.Errorf("series %s: line %d: %w", file, entry.line, err)
		}
	}
	return nil
}

func (r *reader) seriesText(file string) (string, error) {
	input, err := regular.OpenPiped(file)
	if err != nil {
		return "", fmt.Errorf("read series: %w", err)
	}
	defer input.Close()
	return r.text(file, input)
}

// parseQuilt reads the lines of a series: a patch name, then options, of
// which only the strip level (-p N, -pN, -pab) changes how a patch is read.
// A "#" at the start of a line or after white space starts a comment.
func parseQuilt(file, text string, strip int) ([]quiltEntry, error) {
	var out []quiltEntry
	number := 0
	for line := range strings.Lines(text) {
		number++
		fail := func(format string, args ...any) error {
			return &ParseError{Patch: file, Line: number, Err: fmt.Errorf(format, args...)}
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
		entry := quiltEntry{name: fields[0], strip: strip, line: number}
		// quilt's own default is one level; let the names decide unless told.
		for i := 1; i < len(fields); i++ {
			opt, ok := strings.CutPrefix(fields[i], "-p")
			if !ok {
				return nil, fail("option %s of %s is not supported, only -p is", fields[i], entry.name)
			}
			if opt == "" && i+1 < len(fields) {
				i++
				opt = fields[i]
			}
			switch level, err := strconv.Atoi(opt); {
			case opt == "ab":
				entry.strip = 1
			case err != nil || level < 0 || level > 100:
				return nil, fail("malformed strip level %q of %s", opt, entry.name)
			case level == 0:
				entry.strip = StripNone
			default:
				entry.strip = level
			}
		}
		for c := range strings.SplitSeq(entry.name, "/") {
			if c == ".." {
				return nil, &PathError{Patch: file, Path: entry.name,
					Reason: "a series may only name patches below its own directory"}
			}
		}
		if strings.HasPrefix(entry.name, "/") || strings.ContainsRune(entry.name, 0) {
			return nil, &PathError{Patch: file, Path: entry.name,
				Reason: "a series may only name patches below its own directory"}
		}
		entry.name = path.Clean(entry.name)
		out = append(out, entry)
	}
	return out, nil
}
