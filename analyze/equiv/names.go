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
	locking, _ := kfuncs.Locks(name)
	_, argument := kfuncs.LockArg(name)
	pair := lockPair{take: name, give: give, bare: !argument}
	for _, op := range locking.Ops {
		switch op.Kind {
		case kfuncs.IRQ, kfuncs.BH: // with the lock
			continue
		case kfuncs.ReadLock, kfuncs.WriteLock:
			pair.kind = "rwlock"
		case kfuncs.Mutex, kfuncs.RTMutex:
			pair.kind = "mutex"
		case kfuncs.RwsemRead, kfuncs.RwsemWrite:
			pair.kind = "rwsem"
		default:
			pair.kind = string(op.Kind)
		}
		if op.Symbol != "" {
			pair.kind = op.Symbol
		}
	}
	return pair, true
}

func kindOf(take string) string {
	pair, _ := taken(take)
	return pair.kind
}

// gaveBack reports whether a call with that argument gives back what is held.
func gaveBack(to string, h held, arg term) bool {
	pair, ok := taken(h.take)
	return ok && pair.give == to && (pair.bare || h.lock == arg)
}
