package types

import (
	"fmt"
	"slices"
)

// Sharing is who may hold objects of a type that outlive one call.
type Sharing struct {
	// Globals are variables of the type, or of one that holds it.
	Globals []string
	// Members are members of other structures that hold the type or point to
	// it, as "struct file.f_inode".
	Members []string
	// Functions are those that handle the type through a pointer.
	Functions []string
	// Stack are functions that have objects of the type on their stack.
	Stack []string
	// Links are members by which objects, those on a stack too, get into lists,
	// trees and queues that other tasks follow.
	Links []string
	// Heads are members that are lists or links of one, of a type whose objects
	// are seen on stacks alone and whose pointers are only passed on: nothing
	// seems to follow a list to such an object.
	Heads []string
}

// listHead is what heads of lists are of, and links too.
const listHead = "struct list_head"

// links are structures that put what holds them into the hands of others.
var links = map[string]bool{
	listHead: true, "struct hlist_node": true, "struct hlist_nulls_node": true, "struct hlist_bl_node": true,
	"struct llist_node": true,
	"struct plist_node": true, "struct rb_node": true, "struct callback_head": true, "struct wait_queue_entry": true,
	"struct swait_queue": true,
	"struct completion":  true, "struct work_struct": true, "struct timer_list": true, "struct hrtimer": true,
	"struct kref": true, "refcount_t": true,
}

// Private reports whether, as far as the types tell, every object lives on the
// stack of a function for as long as it runs.
func (s *Sharing) Private() bool {
	return len(s.Globals) == 0 && len(s.Members) == 0 && len(s.Links) == 0 && len(s.Heads) == 0 && len(s.Stack) > 0
}

// Sharing looks for uses of a type and of all types that hold it. All lists
// are sorted. Objects that only untyped pointers lead to are not seen.
func (i *Info) Sharing(name string) Sharing {
	holders := map[string]bool{name: true}
	for more := true; more; {
		more = false
		for _, u := range i.uses {
			if u.kind == useMember && !u.ptr && holders[u.typ] && !holders[u.in] {
				holders[u.in], more = true, true
			}
		}
	}
	var sharing Sharing
	found := false // a variable holds a pointer that was not passed: an object was looked up
	for _, ref := range i.uses {
		if ref.kind == useMember && !ref.ptr && holders[ref.in] && links[ref.typ] {
			to := &sharing.Links
			if ref.typ == listHead {
				to = &sharing.Heads
			}
			*to = append(*to, ref.in+"."+ref.name)
		}
		if !holders[ref.typ] {
			continue
		}
		switch {
		case ref.kind == useMember && ref.ptr && !(holders[ref.in] && ref.in == ref.typ):
			sharing.Members = append(sharing.Members, ref.in+"."+ref.name)
		case ref.kind == useMember:
		case ref.kind == useGlobal && ref.in != "":
			sharing.Globals = append(sharing.Globals, fmt.Sprintf("%s of %s", ref.name, ref.in))
		case ref.kind == useGlobal:
			sharing.Globals = append(sharing.Globals, ref.name)
		case ref.ptr || ref.kind == useParam:
			found = found || ref.kind == useLocal
			sharing.Functions = append(sharing.Functions, ref.in)
		default:
			sharing.Stack = append(sharing.Stack, ref.in)
		}
	}
	if found || len(sharing.Globals)+len(sharing.Members)+len(sharing.Links) > 0 || len(sharing.Stack) == 0 {
		sharing.Links, sharing.Heads = append(sharing.Links, sharing.Heads...), nil
	}
	for _, l := range []*[]string{&sharing.Globals, &sharing.Members, &sharing.Functions, &sharing.Stack,
		&sharing.Links, &sharing.Heads} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	return sharing
}
