package plan

// RCUCallers are functions of the kernel that call what they are given when a grace
// period is over (kernel/rcu/tree.c, v6.1; call_rcu_hurry since v6.2). A module that
// uses one waits for such calls before it goes, because they may lead into it.
var RCUCallers = []string{"call_rcu", "call_rcu_hurry"}
