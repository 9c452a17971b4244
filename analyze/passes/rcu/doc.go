// Package rcu finds changed functions that keep to RCU less than before: a grace
// period that is gone, or memory that is read outside of the read-side section
// that protected it.
//
// Grace periods: before the patch the function, or one in the object file that
// it calls, waits for a grace period (synchronize_rcu and its like) or leaves
// freeing to one (call_rcu, kfree_rcu), and after it nothing does. Old readers
// then still use what new code has freed. This is an error when the new code
// frees memory at once, or calls what it gave to call_rcu, else a warning. A function
// that itself asks for fewer grace periods than before is noted, and a warning
// when it frees more at once instead. SRCU is judged apart from RCU.
//
// Order: a store to what others can reach, which was behind a grace period on all
// paths, now lies ahead of it, or the other way round: old readers meet what they
// were kept from, or what was taken away too late. A store to an object lies behind
// the store of the pointer that publishes it, in a function whose text publishes
// something (rcu_assign_pointer, list_add_rcu, smp_store_release …), where it was
// before that; or two pointers are published in another order. Both are warnings.
// Stores are known again by their place and value; those whose value or place is not
// followed are not compared, and neither are functions whose parameters the compiler
// chose otherwise.
//
// Read side: what lies behind a pointer, and was only read within a read-side
// section, is now read outside of any, with no lock held either. This is a
// warning for a function whose callers are all in the object file, and are in no
// section; where they are not all known it is a note, since they may be in one.
//
// Reads through pointers that the function did not get from its arguments or
// from global variables are not compared.
//
// What to do: keep the grace period at least as long as old readers may run, or
// move the read-side section around the access.
package rcu
