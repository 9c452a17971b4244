package main

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/internal/e2e"
)

// Row is one kernel, with the machine that its livepatches are built on. What it holds
// is part of the key of its results.
type Row struct {
	Name  string
	Title string // what kind of kernel, for the table

	// One of these says which kernel: a release that is fetched, or the name of a kernel of
	// one's own (internal/ownkernel).
	Release string
	Own     string
	RPM     bool // Own is fetched from a repository of RPM packages
	RHEL    bool `json:",omitempty"` // these have the names and places of RHEL's; else make rpm-pkg made them

	Suite  string // of the userland that builds in; "" for this machine
	Memory int    // of the VM, MiB; 0 for its default

	Corpus   *Update
	NoCorpus string // why there is no corpus
}

// Update is the difference between two versions of a source package.
type Update struct {
	Suite    string // of the archive; "" for this machine's package sources
	Package  string
	From, To string
	// TakenBack is for a line of which the archive has one version only: the update is
	// another line's, and its changes are taken back where the kernel has them.
	TakenBack bool
}

// corpusFiles is how many files of an update are tried, leastFiles how many there have to be
// for a corpus to say something.
const (
	corpusFiles = 42
	leastFiles  = 40
)

// Why most rows have no corpus.
const (
	measured = "docs/corpus.md has the whole update of this line"
	sameLine = "the kernel differs from its line's row in configuration and compiler alone"
)

// rows are all, in the order of the table.
func rows() []Row {
	return []Row{
		{
			Name: "debian-11", Title: "Debian 11", Release: e2e.BullseyeRelease, Suite: "bullseye",
			Corpus: &Update{Suite: "bullseye", Package: "linux-source-5.10", From: "5.10.251-5", To: "5.10.262-1"},
		},
		{Name: "debian-12", Title: "Debian 12", Release: e2e.CloudRelease, NoCorpus: measured},
		{Name: "debian-12-rt", Title: "Debian 12, PREEMPT_RT", Release: e2e.RTRelease, NoCorpus: sameLine},
		{Name: "debian-12-6.12", Title: "Debian 12, newer line", Release: e2e.IBTRelease, NoCorpus: measured},
		{
			Name: "debian-13", Title: "Debian 13", Release: e2e.TrixieRelease, Suite: "trixie",
			Corpus: &Update{Suite: "trixie", Package: "linux-source-6.12", From: "6.12.117-1", To: "6.12.118-1"},
		},
		{
			Name: "sid", Title: "Debian sid", Release: e2e.SidRelease, Suite: "sid",
			Corpus: &Update{
				Suite: "trixie", Package: "linux-source-6.12", From: "6.12.107-1", To: "6.12.118-1", TakenBack: true,
			},
		},
		{Name: "own-dirty", Title: "own, built in place, `-dirty`", Own: "6.1-gcc-dirty", NoCorpus: sameLine},
		{Name: "own-o", Title: "own, `O=`", Own: "6.1-gcc-o", NoCorpus: sameLine},
		{Name: "own-7.2", Title: "own, 7.2", Own: "7.2-gcc", NoCorpus: sameLine},
		{Name: "own-clang", Title: "own, clang", Own: "6.1-clang", NoCorpus: sameLine},
		{Name: "own-thinlto", Title: "own, clang, ThinLTO", Own: "6.1-thinlto", NoCorpus: sameLine},
		{Name: "own-kasan", Title: "own, KASAN", Own: "6.1-kasan", Memory: 1536, NoCorpus: sameLine},
		{Name: "own-kcfi", Title: "own, 7.2, clang, kCFI and FineIBT", Own: "7.2-kcfi", NoCorpus: sameLine},
		{Name: "own-sanitizers", Title: "own, `-Os`, UBSAN, KCSAN", Own: "6.1-sanitizers", Memory: 1536, NoCorpus: sameLine},
		{Name: "rpm", Title: "own, packages of `make rpm-pkg`", Own: "6.1-rpm", RPM: true, NoCorpus: sameLine},
		{Name: "rpm-rhel", Title: "own, RPM packages with RHEL's names and places", Own: "6.1-gcc-o", RPM: true, RHEL: true, NoCorpus: sameLine},
	}
}

// choose returns the rows of these names; all without one.
func choose(names []string) ([]Row, error) {
	all := rows()
	if len(names) == 0 {
		return all, nil
	}
	var out []Row
	for _, name := range names {
		i := slices.IndexFunc(all, func(r Row) bool { return r.Name == name })
		if i < 0 {
			var known []string
			for _, r := range all {
				known = append(known, r.Name)
			}
			return nil, fmt.Errorf("no row is called %s: there are %q", name, known)
		}
		out = append(out, all[i])
	}
	return out, nil
}
