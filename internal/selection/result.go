package selection

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/pipeline"
)

// Schema identifies the JSON form of Result.
const Schema = "klpforge.selection/v1"

// Result is what became of an update.
type Result struct {
	Schema  string `json:"schema"`
	Release string `json:"release"` // of the target kernel
	Update  string `json:"update"`  // what was asked for
	// CVEs come first: they are what is asked for first.
	CVEs       []CVE       `json:"cves"`
	Totals     Totals      `json:"totals"`
	Subsystems []Subsystem `json:"subsystems"`
	Slices     []Verdict   `json:"slices"`
	Binary     []string    `json:"binary,omitempty"` // changed files without lines, left out
	Manifest   string      `json:"manifest,omitempty"`
	Module     string      `json:"module,omitempty"` // "" when none was made
	Cost       Cost        `json:"cost"`
	// Part is set when only a share of the objects was compiled; then nothing was selected.
	Part *Share `json:"part,omitempty"`
}

// Share is a part of the first review's objects.
type Share struct {
	pipeline.Part
	Objects int `json:"objects"` // compiled, or found in the cache
}

// Totals count slices by their fate.
type Totals struct {
	Live      int `json:"live"`
	Present   int `json:"alreadyThere"`
	Elsewhere int `json:"notCompiledHere"`
	LeftOut   int `json:"leftOut"`
	NoCode    int `json:"noCode"`
	Functions int `json:"functions"` // replaced
}

// Compiled counts the slices that change code of the target.
func (t *Totals) Compiled() int { return t.Live + t.LeftOut }

// Share is the part of Compiled that is live, in percent; 100 of nothing.
func (t *Totals) Share() float64 {
	if t.Compiled() == 0 {
		return 100
	}
	return 100 * float64(t.Live) / float64(t.Compiled())
}

// Subsystem counts the slices of one directory.
type Subsystem struct {
	Name string `json:"name"`
	Totals
}

// CVE says whether a livepatched machine is still affected.
type CVE struct {
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Slices carry the fix; LeftOut are those of them that are left out.
	Slices  []string `json:"slices"`
	LeftOut []string `json:"leftOut,omitempty"`
}

// Status is how a CVE stands, in the words of VEX.
type Status string

// The statuses.
const (
	Fixed       Status = "fixed"        // by the livepatch, or in the kernel already
	NotAffected Status = "not_affected" // nothing of it is compiled
	Affected    Status = "affected"
	// Open is a CVE of which a part of the fix is left alone, as code that has run already or
	// that has an effect on later work only; or that no function is replaced for, although
	// the kernel compiles what the fix changes. A person has to look.
	Open Status = "under_investigation"
)

// Verdict is one slice with its fate.
type Verdict struct {
	Name  string   `json:"name"`
	Title string   `json:"title,omitempty"`
	IDs   []string `json:"ids,omitempty"`
	Files []string `json:"files"`
	Fate  Fate     `json:"fate"`
	// Why is the reason for leaving it out, in one line; Finding the id of what forbids it,
	// "" where it does not compile or needs another slice. Tried says that it was put on
	// top of what is live, and that this is what came of it.
	Why     string     `json:"why,omitempty"`
	Finding finding.ID `json:"finding,omitempty"`
	Needs   []string   `json:"needs,omitempty"` // slices that are left out
	Tried   bool       `json:"tried,omitempty"`
	// Rescue is what a person could do to have it live all the same.
	Rescue string `json:"rescue,omitempty"`
	// Know are warnings about it: what a person should know of a slice that is live.
	Know []string `json:"know,omitempty"`
	// Functions are replaced for it.
	Functions []string `json:"functions,omitempty"`
	// partly says that a part of it has no effect on what is running.
	partly bool
}

// Cost is what the selection took.
type Cost struct {
	Reviews int     `json:"reviews"`
	Seconds float64 `json:"seconds"` // of all reviews
	Compile float64 `json:"compile"` // seconds of compilations in them, on all processors
}

// rescues are what can be done about findings that forbid a slice.
var rescues = map[finding.ID]string{
	finding.IDChangedData: "set the data in a pre_patch callback, and back in post_unpatch: 'klpforge explain KLP103' " +
		"has the skeleton",
	finding.IDLayout: "keep the new member in a shadow variable: 'klpforge lint --suggest-shadow FILE' writes the code",
	finding.IDNotTraceable: "patch callers that ftrace can redirect instead, with the change in a copy of the " +
		"function: " +
		"the finding names them",
	finding.IDFutureOnly: "live, it would have an effect on later work only; what was done before stays",
	finding.IDAlreadyRun: "it has run already: do what it would do in a callback, where that is possible",
	finding.IDSleepers:   "--keep-stalling takes it in; the transition then waits for the tasks that the finding names",
}

func (e *engine) cost() Cost { return Cost{Reviews: e.reviews, Seconds: e.seconds, Compile: e.compile} }

// result describes the outcome of an engine.
func (e *engine) result(last *Review) *Result {
	out := &Result{Schema: Schema, CVEs: []CVE{}, Subsystems: []Subsystem{}, Slices: []Verdict{},
		Cost: e.cost()}
	functions := e.functions(last)
	if last != nil {
		out.Totals.Functions = len(last.Funcs)
	}
	know, partly := e.known(last)
	by := map[string]*Subsystem{}
	for i, slice := range e.slices {
		// A slice that is kept and for which nothing is replaced is not live.
		verdict := Verdict{Name: slice.Name, Title: slice.Title, IDs: slice.IDs, Files: slice.Files, Fate: e.fate[i],
			Functions: functions[i],
			Know:      know[i], partly: partly[i]}
		if verdict.Fate == Live && len(verdict.Functions) == 0 {
			verdict.Fate = NoCode
		}
		if why := e.why[i]; why != nil {
			verdict.Why, verdict.Tried = why.text, why.tried
			for _, needed := range why.needs {
				verdict.Needs = append(verdict.Needs, e.slices[needed].Name)
			}
			if why.fault != nil && len(why.needs) == 0 {
				verdict.Finding = why.fault.ID()
				verdict.Rescue = rescues[verdict.Finding]
			}
		}
		out.Slices = append(out.Slices, verdict)

		// Counted for the whole and for its subsystem.
		name := subsystem(slice.Files)
		if by[name] == nil {
			by[name] = &Subsystem{Name: name}
		}
		for _, totals := range []*Totals{&out.Totals, &by[name].Totals} {
			totals.count(verdict.Fate)
		}
		by[name].Functions += len(functions[i])
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		out.Subsystems = append(out.Subsystems, *by[name])
	}
	out.CVEs = cves(out.Slices)
	return out
}

func (t *Totals) count(f Fate) {
	switch f {
	case Live:
		t.Live++
	case Present:
		t.Present++
	case Elsewhere:
		t.Elsewhere++
	case LeftOut:
		t.LeftOut++
	case NoCode:
		t.NoCode++
	}
}

// subsystem is the directory that a slice is counted under.
func subsystem(files []string) string {
	if len(files) == 0 {
		return "."
	}
	parts := strings.Split(files[0], "/")
	deep := 1
	switch parts[0] {
	case "drivers", "arch", "net", "fs", "sound", "security", "tools", "include":
		deep = 2
	}
	return strings.Join(parts[:max(1, min(deep, len(parts)-1))], "/")
}

// known are the warnings about each live slice; partly those slices of which a part has no
// effect, or one on later work only.
func (e *engine) known(last *Review) (know map[int][]string, partly map[int]bool) {
	know, partly = map[int][]string{}, map[int]bool{}
	if last == nil {
		return know, partly
	}
	for i := range last.Notes {
		found := &last.Notes[i]
		if found.Severity < finding.Warning && found.ID != finding.IDFutureOnly || found.ID.IsVerdict() {
			continue
		}
		for _, slice := range e.state.blame(&Fault{Finding: found, Object: found.Unit}) {
			if e.keep[slice] && !slices.Contains(know[slice], found.Line()) {
				know[slice] = append(know[slice], found.Line())
			}
			partly[slice] = partly[slice] || found.ID == finding.IDAlreadyRun || found.ID == finding.IDFutureOnly
		}
	}
	return know, partly
}

// functions finds for each live slice the functions that are replaced for it.
func (e *engine) functions(last *Review) map[int][]string {
	out := map[int][]string{}
	if last == nil {
		return out
	}
	own := map[string]map[string]bool{} // by object file
	for _, function := range last.Funcs {
		if own[function.Unit] == nil {
			own[function.Unit] = map[string]bool{}
		}
		own[function.Unit][base(function.Name)] = true
	}
	for _, function := range last.Funcs {
		at := finding.Finding{Unit: function.Unit, Symbol: function.Name}
		name := base(function.Name)
		files := e.state.near(&at)
		by := e.state.inlined(files, name, own[function.Unit])
		for _, file := range files {
			if of := file.of(name); len(of) > 0 {
				by = append(by, of...)
				break
			}
		}
		if len(by) == 0 {
			by = e.state.through(files, name)
		}
		slices.Sort(by)
		for _, slice := range slices.Compact(by) {
			out[slice] = append(out[slice], function.Object+":"+function.Name)
		}
	}
	return out
}

// cves says of each CVE that slices carry how it stands.
func cves(list []Verdict) []CVE {
	by := map[string]*CVE{}
	compiled, open := map[string]bool{}, map[string]bool{}
	for _, verdict := range list {
		for _, id := range verdict.IDs {
			if !strings.HasPrefix(id, "CVE-") {
				continue
			}
			if by[id] == nil {
				by[id] = &CVE{ID: id, Status: NotAffected}
			}
			cve := by[id]
			cve.Slices = append(cve.Slices, verdict.Name)
			if verdict.Fate == LeftOut {
				cve.LeftOut = append(cve.LeftOut, verdict.Name)
			}
			compiled[id] = compiled[id] || verdict.Fate != Elsewhere
			open[id] = open[id] || verdict.Fate == Live && verdict.partly || verdict.Fate == NoCode
		}
	}
	out := []CVE{}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		// Affected while any part of its fix is left out, whatever the others are.
		cve := by[id]
		switch {
		case len(cve.LeftOut) > 0:
			cve.Status = Affected
		case open[id]:
			cve.Status = Open
		case compiled[id]:
			cve.Status = Fixed
		}
		out = append(out, *cve)
	}
	slices.SortStableFunc(out, func(first, second CVE) int { return cmp.Compare(first.Status, second.Status) })
	return out
}

// Headline is the outcome in a line.
func (r *Result) Headline() string {
	return fmt.Sprintf("%d of %d slices that change code of %s go live (%.1f %%), %d functions; %d left out, %d "+
		"change no code "+
		"here, %d not compiled here, %d already there", r.Totals.Live, r.Totals.Compiled(), r.Release, r.Totals.Share(),
		r.Totals.Functions, r.Totals.LeftOut, r.Totals.NoCode, r.Totals.Elsewhere, r.Totals.Present)
}
