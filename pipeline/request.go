package pipeline

import (
	"errors"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

// request is what was asked for, as far as reading the patches tells.
type request struct {
	series *patchset.Series
	name   string // of the module
	// allow are the findings that are accepted, by the options and by the patches.
	allow map[finding.ID]string
}

// readRequest reads the patches, names the module, and gathers which findings are
// accepted.
func readRequest(opt *Options, say *journal) (*request, error) {
	if err := plan.CheckName(opt.Name); err != nil {
		return nil, err
	}
	series, err := readSeries(opt)
	if err != nil {
		return nil, err
	}
	say.notes(series.Notes...)
	name, note := nameOf(opt, series)
	if note != "" && !opt.DiffOnly {
		say.note("%s", note)
	}
	if name == "" {
		return nil, &plan.NameError{Name: name, Why: "the output's name has nothing before .ko; give one with --name"}
	}
	allow, err := acceptedFindings(opt, series, say)
	if err != nil {
		return nil, err
	}
	return &request{series: series, name: name, allow: allow}, nil
}

// readSeries reads the patches from where the options say.
func readSeries(opt *Options) (series *patchset.Series, err error) {
	switch {
	case opt.Series != nil:
		return opt.Series, nil
	case opt.GitRange != "":
		series, err = patchset.ReadGitRange(opt.GitDir, opt.GitRange)
	default:
		series, err = patchset.Read(opt.Patches, patchset.ReadOptions{Strip: opt.Strip})
	}
	if err != nil {
		return nil, patchFault(err)
	}
	return series, nil
}

// patchFault tells what is wrong with the patches from what is wrong with the
// files that hold them.
func patchFault(err error) error {
	for _, fault := range []any{new(*patchset.ParseError), new(*patchset.PathError), new(*patchset.BinaryError),
		new(*patchset.UnsupportedError), new(*patchset.ApplyError)} {
		if errors.As(err, fault) {
			return &PatchError{err}
		}
	}
	if errors.Is(err, patchset.ErrEmpty) {
		return &PatchError{err}
	}
	return err
}
