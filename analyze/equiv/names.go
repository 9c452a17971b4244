package equiv

import "github.com/klpforge/klpforge/analyze/kfuncs"

// lockPair tells how a lock is taken and given back: kind groups those of which
// two held at once need an order.
type lockPair struct {
	take, give, kind string
	bare             bool // the lock is no argument
}

// taken returns the pair that a function takes its lock by, whatever it returns.
func taken(name string) (lockPair, bool) {
	give := kfuncs.Gives(name)
	if give == "" {
		return lockPair{}, false
	}
	l, _ := kfuncs.Locks(name)
	_, argument := kfuncs.LockArg(name)
	p := lockPair{take: name, give: give, bare: !argument}
	for _, op := range l.Ops {
		switch op.Kind {
		case kfuncs.IRQ, kfuncs.BH: // with the lock
			continue
		case kfuncs.ReadLock, kfuncs.WriteLock:
			p.kind = "rwlock"
		case kfuncs.Mutex, kfuncs.RTMutex:
			p.kind = "mutex"
		case kfuncs.RwsemRead, kfuncs.RwsemWrite:
			p.kind = "rwsem"
		default:
			p.kind = string(op.Kind)
		}
		if op.Symbol != "" {
			p.kind = op.Symbol
		}
	}
	return p, true
}

func kindOf(take string) string {
	l, _ := taken(take)
	return l.kind
}

// gaveBack reports whether a call with that argument gives back what is held.
func gaveBack(to string, h held, arg term) bool {
	l, ok := taken(h.take)
	return ok && l.give == to && (l.bare || h.lock == arg)
}
