package deploy

import "fmt"

// mayForce reports whether a livepatch may be forced without the words: its note
// says that it was proven safe (KLP402), and somebody whom this machine trusts
// vouches for the note. Anybody can write a note.
func (f *Facts) mayForce() bool { return f.SafeToForce && f.NoteTrusted }

// forceAsked refuses to force a livepatch for which neither a note speaks that can
// be relied on nor the words were said. It is nil where forcing was not asked for.
func forceAsked(name string, facts *Facts, o Options) *Refusal {
	if o.OnTimeout != Force || facts.mayForce() || o.ForceWords == ForceWords(name) {
		return nil
	}
	refusal := &Refusal{Reason: name +
		" does not carry the verdict that it is safe to force (KLP402), and forcing gives up consistency",
		Remedy: fmt.Sprintf("let it reverse, or say --force %q", ForceWords(name))}
	if facts.SafeToForce {
		why := facts.NoteTrust
		if why == "" {
			why = "no signature was verified"
		}
		refusal.Reason = fmt.Sprintf("that %s is safe to force (KLP402) is what its note says, and nobody vouches "+
			"for the note: %s", name, why)
		refusal.Remedy = fmt.Sprintf("load a module whose signature this machine can verify, let it reverse, or say "+
			"--force %q", ForceWords(name))
	}
	return refusal
}
