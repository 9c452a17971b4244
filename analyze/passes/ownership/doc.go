// Package ownership finds functions that free or put an argument, a global
// object or what one of these leads to on some path on which they did not before,
// no longer do so, or newly keep a reference.
//
// Calls of freeing, putting and getting functions (kfree, put_device, of_node_get,
// kfree_skb …, analyze/kfuncs/table.txt) are counted for each object along every path through the
// compiled function and through what it calls in its object file. Objects that
// the function itself made or looked up do not count: releasing one of them
// concerns nobody else.
//
// Where that shows no difference, or no certain one, it is counted how often the function
// gives up and takes references to an object on one path at most: by counters that the
// compiler inlined (refcount_inc, kref_put) too, and by what such a counter or a function
// of the table is wrapped in, in the object file, its module or the kernel. Another number
// of puts or gets than before is reported, with how the object's address leaves the
// function: by its result, or by a queue that keeps it. So is an object that was freed
// for memory of any kind (kvfree), or by another allocator, and now is given to a function
// that takes memory of one alone; objects from before the patch are of the other. A
// reference that the function takes itself and newly gives up on all paths concerns
// nobody else. What a function does too whose address is stored, as that of a work item, may
// be left to it: a note, and unknown. Counters that are no refcount_t are not seen.
//
// Whoever calls the function, or uses the object later, may rely on the old
// balance: code that is not patched, and during the transition tasks that still
// run the old code on the same object. It is a warning when callers are not
// patched or not known, a note when all are patched with it.
//
// When the paths cannot be told apart for certain, what the function gives up or
// takes on any path is compared instead, elements of an array and of a list
// counting as one. An object that only one side gives up is a note, and unknown;
// that the same objects are given up on other paths is then not seen. The same is
// done, without offsets, where the patch moves members of types (KLP208). Long cleanup
// functions are of that kind. Of the notes on a real stable update more than a
// fifth were false when single paths were compared (docs/analysis-review.md).
//
// What to do: see that each caller agrees with the new balance; patch those that
// do not along with it.
package ownership
