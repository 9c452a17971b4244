// Package layout finds structures and unions whose layout changes, although
// objects of the old layout exist when the livepatch is applied, or code that is
// not patched handles them.
//
// The debug information of the objects before and after decides; they are
// compiled with it only when the patches touch the definition of a type or a
// preprocessor line. Of types inside each other the innermost one is named. The
// finding holds both layouts.
//
// An error: members move or the size changes, and a variable of the type or a
// member of another structure leads to objects that outlive the transition. A
// warning: only pointers to the type are seen, so that it is not known where
// objects live; or new members lie in what was padding, where nothing has set
// them in objects that exist; or objects are seen on stacks alone, but hold a
// list_head, and no variable ever gets such an object but by being passed it: then the
// list_head is the head of a list, by the look of it, not a link. Silent are types whose objects live on stacks
// only: a task changes over when none of the changed functions is on its stack.
//
// What to do: leave the type as it is, and keep what is new in a shadow variable
// (klp_shadow_alloc, klp_shadow_get, klp_shadow_free) attached to the object.
package layout
