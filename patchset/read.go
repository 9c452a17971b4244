package patchset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/regular"
)

// ReadOptions tunes Read. The zero value finds the strip level by itself
// and reads at most DefaultMaxBytes from each input.
type ReadOptions struct {
	// Strip is how many leading directories to drop from the names in the
	// patches: 0 finds out for each patch, StripNone (-1) keeps names whole,
	// n > 0 drops n. A -p option in a quilt series wins.
	Strip int
	// Stdin is read for the path "-"; nil means os.Stdin.
	Stdin io.Reader
	// MaxBytes bounds one input, in bytes; 0 means DefaultMaxBytes.
	MaxBytes int64
}

// DefaultMaxBytes bounds one patch file when ReadOptions.MaxBytes is 0. All
// changes from one release of Linux to the next have about 60 MB.
const DefaultMaxBytes = 128 << 20

// maxLine bounds one line, in bytes: no source has lines that come near.
const maxLine = 1 << 20

// Read reads patches in the order given. A path is a unified diff (of git or
// of diff), a mail or mbox as git format-patch writes it, a quilt series
// file (named "series", "series.conf" or "*.series"), a directory that holds
// one named "series", or "-" for standard input.
//
// Mails without a diff, such as cover letters, are left out. The mails of
// one mbox that all carry distinct "[PATCH n/m]" numbers are put in that
// order. An input without any change is ErrEmpty. Other errors are
// *ParseError, *PathError, *BinaryError, *UnsupportedError, or an I/O error.
func Read(paths []string, opts ReadOptions) (*Series, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("read patches: no patch given: %w", ErrEmpty)
	}
	reading := &reader{opts: opts, series: &Series{}}
	for _, p := range paths {
		if err := reading.path(p); err != nil {
			return nil, err
		}
	}
	return reading.series, nil
}

type reader struct {
	opts   ReadOptions
	series *Series
	stdin  bool // already read
}

func (r *reader) path(path string) error {
	if path == "-" {
		if r.stdin {
			return errors.New("read patches: standard input is named twice")
		}
		r.stdin = true
		in := r.opts.Stdin
		if in == nil {
			in = os.Stdin
		}
		text, err := r.text("<stdin>", in)
		if err != nil {
			return err
		}
		return r.input("<stdin>", text, r.opts.Strip)
	}

	// A directory or a file named series is one of quilt's; anything else is a patch.
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read patch: %w", err)
	}
	if info.IsDir() {
		series := filepath.Join(path, "series")
		if _, err := os.Stat(series); err != nil {
			return fmt.Errorf("read patches: directory %s holds no series file: name the patch files, or list them "+
				"in %s: %w", path, series, err)
		}
		return r.quilt(series)
	}
	if isSeries(path) {
		return r.quilt(path)
	}
	return r.file(path, filepath.Base(path), r.opts.Strip)
}

func isSeries(p string) bool {
	base := filepath.Base(p)
	return base == "series" || base == "series.conf" || strings.HasSuffix(base, ".series")
}

// file reads one patch file.
func (r *reader) file(path, id string, strip int) error {
	input, err := regular.OpenPiped(path)
	if err != nil {
		return fmt.Errorf("read patch: %w", err)
	}
	defer input.Close()
	text, err := r.text(path, input)
	if err != nil {
		return err
	}
	return r.input(id, text, strip)
}

func (r *reader) text(name string, in io.Reader) (string, error) {
	limit := r.opts.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxBytes
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return "", fmt.Errorf("read patch %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return "", &ParseError{Patch: name, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	for rest, line := data, 1; len(rest) > maxLine; line++ {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 || end > maxLine {
			return "", &ParseError{Patch: name, Line: line, Err: fmt.Errorf("a line of more than %d bytes", maxLine)}
		}
		rest = rest[end+1:]
	}
	return strings.TrimPrefix(string(data), "\ufeff"), nil
}

// input parses the text of one input and appends its patches.
func (r *reader) input(id, text string, strip int) error {
	patches, notes, err := parseInput(id, text, strip)
	if err != nil {
		return err
	}
	r.series.Patches = append(r.series.Patches, patches...)
	r.series.Notes = append(r.series.Notes, notes...)
	return nil
}

// parseInput reads all patches of one input.
func parseInput(id, text string, strip int) (patches []*Patch, notes []finding.Remark, err error) {
	type numbered struct {
		*Patch
		message
	}
	var list []numbered
	messages := splitMessages(text)
	for i, mail := range messages {
		mid := id
		if len(messages) > 1 {
			mid = fmt.Sprintf("%s#%d", id, i+1)
		}
		changes, binary, preamble, pnotes, err := parseDiff(mid, mail.text, max(mail.base, 0), strip)
		if err != nil {
			if mail.base < 0 { // the line counts from the decoded diff and would mislead
				var perr *ParseError
				var path *PathError
				if errors.As(err, &perr) {
					perr.Line = 0
				}
				if errors.As(err, &path) {
					path.Line = 0
				}
			}
			return nil, nil, err
		}
		if len(changes) == 0 {
			if len(binary) > 0 {
				return nil, nil, &BinaryError{Patch: mid, Path: binary[0].Path}
			}
			continue
		}
		patch := &Patch{Binary: binary, ID: mid, Subject: mail.subject, Author: mail.author, Log: mail.log,
			Commit: mail.commit, Files: changes, Notes: pnotes, strip: strip}
		if !mail.mail {
			patch.Subject, patch.Author, patch.Commit = describe(preamble)
			patch.Log = preamble
		}
		list = append(list, numbered{patch, mail})
	}
	// Answers often quote or sketch diffs that are not meant to be applied.
	if slices.ContainsFunc(list, func(n numbered) bool { return !n.reply }) {
		list = slices.DeleteFunc(list, func(n numbered) bool {
			if n.reply {
				notes = append(notes, finding.Remarkf(finding.RemarkLeftOut, "%s: left out, it is an answer: %s", n.ID,
					n.Subject))
			}
			return n.reply
		})
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("read patch %s: no unified diff in it: %w", id, ErrEmpty)
	}
	ordered := len(list) > 1
	seen := map[int]bool{}
	for _, n := range list {
		ordered = ordered && n.number > 0 && n.total == list[0].total && !seen[n.number]
		seen[n.number] = true
	}
	if ordered {
		slices.SortStableFunc(list, func(a, b numbered) int { return a.number - b.number })
	}
	for _, n := range list {
		patches = append(patches, n.Patch)
	}
	return patches, notes, nil
}
