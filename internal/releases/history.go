package releases

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
)

// followUps finds corrections of the release's patches that it lacks. They are
// errors, unless the manifest accepts KLP408.
func followUps(ctx context.Context, o Options, list []entry) ([]finding.Finding, error) {
	out := []finding.Finding{}
	if o.History == nil {
		return out, nil
	}
	o.Progress("", "search the history for follow-ups")
	var all []*patchset.Patch
	for _, listed := range list {
		all = append(all, listed.patches...)
	}
	found, did, err := o.History.FollowUps(ctx, all)
	if err != nil {
		return nil, err
	}

	// An author who knows of a correction says so once for the release.
	severity, remedy := finding.Error, "include it, or accept KLP408 in the manifest with the reason"
	for _, allowed := range o.Manifest.Allow {
		if allowed.ID == finding.IDFollowUp {
			severity, remedy = finding.Note, "accepted: "+allowed.Reason
		}
	}
	for _, followUp := range found {
		how := "fixes"
		if followUp.Revert {
			how = "reverts"
		}
		out = append(out, finding.Finding{ID: finding.IDFollowUp, Severity: severity, Remedy: remedy,
			Message: fmt.Sprintf("commit %.12s (%s) %s %s and is not included", followUp.Commit, followUp.Subject, how,
				followUp.Of.Title())})
	}

	// That nothing was found means little where the search ended early.
	if !did.Whole {
		out = append(out, finding.Finding{ID: finding.IDFollowUp, Severity: finding.Warning,
			Message: "follow-ups: " + did.String(), Remedy: "give a nearer commit with --git-head"})
	}
	return out, nil
}

// prerequisites looks for the commits that bring what a build lacked.
func (o *Options) prerequisites(ctx context.Context, res *pipeline.Result, err error,
	included []*patchset.Patch) []finding.Finding {
	if o.History == nil {
		return nil
	}
	var names []string
	for _, problem := range res.Problems {
		if problem.ID == finding.IDPrerequisite {
			names = append(names, problem.Symbol)
		}
	}

	// The checks name what is missing at load time, the compiler what it has not seen declared.
	names = append(names, kbuild.Undeclared(err)...)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nil
	}
	found, did, herr := o.History.Introduces(ctx, names, included)
	if herr != nil {
		return []finding.Finding{unsearched(herr)}
	}
	var out []finding.Finding
	for _, commit := range found {
		names = slices.DeleteFunc(names, func(name string) bool { return name == commit.Brings })
		out = append(out, finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Error,
			Remedy: "add this commit to the patches, before the one that needs it",
			Message: fmt.Sprintf("%s is missing in the target; commit %.12s (%s) brings it", commit.Brings,
				commit.Commit, commit.Subject)})
	}

	// What is left of the names was brought by no commit that was searched.
	switch {
	case len(names) > 0:
		out = append(out, finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Warning, Remedy: deeper(did),
			Message: fmt.Sprintf("no commit was found that brings %s: %s", strings.Join(names, ", "), did)})
	case !did.Whole:
		out = append(out, finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Note, Remedy: deeper(did),
			Message: "commits that bring what is missing: " + did.String()})
	}
	return out
}

// deeper is how to search more of a history.
func deeper(did patchset.Searched) string {
	if did.Whole {
		return "search another history with --git, or another branch with --git-head"
	}
	return "search deeper with --git-depth, or from a nearer commit with --git-head"
}

// before looks for the commits that a patch was made on top of.
func (o *Options) before(ctx context.Context, p *patchset.Patch, tree string,
	included []*patchset.Patch) []finding.Finding {
	if o.History == nil {
		return nil
	}
	found, did, err := o.History.Before(ctx, p, tree, included)
	if err != nil {
		return []finding.Finding{unsearched(err)}
	}
	var out []finding.Finding
	for _, commit := range found {
		out = append(out, finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Error,
			Remedy: "add it before that patch, if the patch needs it",
			Message: fmt.Sprintf("%s was made on top of commit %.12s (%s), which changes %s and is not in the target",
				p.Title(), commit.Commit, commit.Subject, commit.Brings)})
	}
	switch {
	case did.Whole && len(found) > 0:
	case did.Commits == 0 && !did.Whole:
		out = append(out, finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Warning,
			Remedy: "give the history that has the patch with --git and --git-head",
			Message: fmt.Sprintf("%s is no commit of the history that was searched: what it was made on top of is "+
				"not known", p.Title())})
	default:
		out = append(out, finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Note, Remedy: deeper(did),
			Message: fmt.Sprintf("commits that %s was made on top of: %s", p.Title(), did)})
	}
	return out
}

func unsearched(err error) finding.Finding {
	return finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Warning,
		Message: "prerequisites could not be searched: " + err.Error()}
}
