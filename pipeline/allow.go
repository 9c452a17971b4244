package pipeline

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/patchset"
)

// Suppression is one accepted id with its reason.
type Suppression struct {
	ID     finding.ID `json:"id"`
	Reason string     `json:"reason"`
	From   string     `json:"from"` // a patch file and line, or "command line"
}

// allowRE is the comment line of a patch that accepts findings. No line of a
// hunk begins like it.
var allowRE = regexp.MustCompile(`^(?:#\s*)?[Kk]lpforge:\s*allow\b\s*(\S*)\s*(.*?)\s*$`)

var findingRE = regexp.MustCompile(`^KLP[0-9]{3}$`)

// unacceptable are findings without whose absence nothing is known of what is compiled.
var unacceptable = []finding.ID{finding.IDOutsideFile, finding.IDBuildRules}

// acceptedFindings joins what the options accept with what comments in the patches do;
// the options win. Every one is recorded in the result.
func acceptedFindings(opt *Options, series *patchset.Series, say *journal) (map[finding.ID]string, error) {
	allow := maps.Clone(opt.Allow)
	if allow == nil {
		allow = map[finding.ID]string{}
	}
	for _, id := range unacceptable {
		if _, wanted := allow[id]; wanted {
			say.note("%s cannot be accepted: nothing that is compiled would be known to be the patch's", id)
			delete(allow, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(allow)) {
		say.res.Suppressions = append(say.res.Suppressions,
			Suppression{id, allow[id], cmp.Or(opt.AllowFrom, "command line")})
	}

	comments, err := allowComments(opt, series)
	if err != nil {
		return nil, err
	}

	// The command line was there first: its reason counts.
	for _, suppression := range comments {
		if slices.Contains(unacceptable, suppression.ID) {
			return nil, &PatchError{fmt.Errorf("%s: %s cannot be accepted, least of all by the patch", suppression.From,
				suppression.ID)}
		}
		if _, have := allow[suppression.ID]; !have {
			allow[suppression.ID] = suppression.Reason
			say.res.Suppressions = append(say.res.Suppressions, suppression)
		}
	}
	return allow, nil
}

// allowComments reads the comments that accept findings: of files as they are, of what
// came from elsewhere in the text before the diff.
func allowComments(opt *Options, series *patchset.Series) ([]Suppression, error) {
	var comments []Suppression
	for _, p := range opt.Patches {
		files, err := patchFiles(p)
		if err != nil {
			return nil, fmt.Errorf("read patch: %w", err)
		}
		for _, f := range files {
			list, err := allowed(f)
			if err != nil {
				return nil, err
			}
			comments = append(comments, list...)
		}
	}
	for _, p := range series.Patches {
		if opt.GitRange == "" && !strings.HasPrefix(p.ID, "<stdin>") {
			continue // a file, read above
		}
		list, err := allowedIn(strings.NewReader(p.Log), p.ID)
		if err != nil {
			return nil, err
		}
		comments = append(comments, list...)
	}
	return comments, nil
}

// patchFiles lists the files behind one patch argument: itself, or those that
// a quilt series names. Standard input was read already and is no file.
func patchFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if path == "-" || err != nil {
		return nil, nil // the reader of patches has judged it
	}
	if info.IsDir() {
		path = filepath.Join(path, "series")
	}
	base := filepath.Base(path)
	if base != "series" && base != "series.conf" && !strings.HasSuffix(base, ".series") {
		return []string{path}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if full := filepath.Join(filepath.Dir(path), name); name != "" && !strings.HasPrefix(name, "#") {
			if info, err := os.Stat(full); err == nil && !info.IsDir() {
				files = append(files, full)
			}
		}
	}
	return files, nil
}

// allowed reads the comment lines of one file.
func allowed(path string) ([]Suppression, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read patch: %w", err)
	}
	defer f.Close()
	return allowedIn(f, filepath.Base(path))
}

// allowedIn reads the comment lines of a text; name is for messages.
func allowedIn(text io.Reader, name string) ([]Suppression, error) {
	var out []Suppression
	in := bufio.NewScanner(text)
	in.Buffer(nil, 2<<20) // no line of a patch that was read is longer
	for line := 1; in.Scan(); line++ {
		match := allowRE.FindStringSubmatch(strings.TrimSuffix(in.Text(), "\r"))
		if match == nil {
			continue
		}
		where := fmt.Sprintf("%s:%d", name, line)
		if !findingRE.MatchString(match[1]) || match[2] == "" {
			return nil, &PatchError{fmt.Errorf("%s: want an id and a reason, as in \"klpforge: allow KLP103 set by "+
				"the callback\"", where)}
		}
		out = append(out, Suppression{finding.ID(match[1]), match[2], where})
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read patch %s: %w", name, err)
	}
	return out, nil
}
