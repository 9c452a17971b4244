# Functions whose effect depends on how paths, loops and calls are put together.
# A comment "want NAME: ..." says what the analysis must find; see locks_test.go
# for the words. Assembled by the test, so that no compiler has a say in the shape.

	.macro func name
	.section .text.\name, "ax", @progbits
	.globl \name
	.type \name, @function
\name:
	.endm
	.macro endfunc name
	.size \name, . - \name
	.endm

# Releases what its first argument has, then takes what the second has.
# want hand_over: +spin:arg1 -spin:arg0
	func hand_over
	push %rbx
	mov %rsi, %rbx
	call _raw_spin_unlock
	mov %rbx, %rdi
	call _raw_spin_lock
	pop %rbx
	ret
	endfunc hand_over

# The same lock twice: somebody else may take it in between. Taken first and then
# released, it would look as if it were never let go.
# want over_to_itself: +spin:arg0 -spin:arg0 drops spin:arg0
	func over_to_itself
	mov %rdi, %rsi
	sub $8, %rsp
	call hand_over
	add $8, %rsp
	ret
	endfunc over_to_itself

# Held by the caller of hand_over, the lock is let go for a while and held again.
# want around_itself: neutral
	func around_itself
	push %rbx
	mov %rdi, %rbx
	call _raw_spin_lock
	mov %rbx, %rdi
	mov %rbx, %rsi
	call hand_over
	mov %rbx, %rdi
	call _raw_spin_unlock
	pop %rbx
	ret
	endfunc around_itself

# Disabling interrupts twice is the same as once: one sti enables them.
# want cli_twice: neutral
	func cli_twice
	cli
	cli
	sti
	ret
	endfunc cli_twice

# want cli_thrice: context +irq
	func cli_thrice
	cli
	cli
	cli
	ret
	endfunc cli_thrice

# want sti_twice: neutral
	func sti_twice
	sti
	sti
	cli
	ret
	endfunc sti_twice

# Preemption is counted: twice off and once on leaves it off.
# want bh_twice: +bh +spin:arg0
	func bh_twice
	push %rbx
	mov %rdi, %rbx
	call _raw_spin_lock_bh
	mov %rbx, %rdi
	call _raw_spin_unlock_bh
	mov %rbx, %rdi
	call _raw_spin_lock_bh
	pop %rbx
	ret
	endfunc bh_twice

# The flag in memory is zero at first; work() may change it, so that the loop ends
# after any number of rounds, and the lock is released on the way out.
# want loop_on_memory: neutral
	func loop_on_memory
	push %rbx
	mov %rdi, %rbx
	cmpl $0, 8(%rbx)
	jne 2f
	call _raw_spin_lock
1:	mov %rbx, %rdi
	call work
	cmpl $0, 8(%rbx)
	je 1b
	mov %rbx, %rdi
	call _raw_spin_unlock
2:	pop %rbx
	ret
	endfunc loop_on_memory

# A slot of the own frame changes in the loop: what was known of it before the loop
# does not hold in the second round, where the lock is taken.
# want loop_on_slot: +spin:arg0
	func loop_on_slot
	push %rbx
	sub $16, %rsp
	mov %rdi, %rbx
	movl $0, 8(%rsp)
1:	call work
	cmpl $3, 8(%rsp)
	je 2f
	addl $1, 8(%rsp)
	jmp 1b
2:	mov %rbx, %rdi
	call _raw_spin_lock
	add $16, %rsp
	pop %rbx
	ret
	endfunc loop_on_slot

# A register that counts: the exit is reached with a value that no single round has.
# want loop_on_register: +spin:arg0
	func loop_on_register
	push %rbx
	push %rbp
	sub $8, %rsp
	mov %rdi, %rbx
	xor %ebp, %ebp
1:	call work
	cmp $100, %ebp
	jae 2f
	add $1, %ebp
	jmp 1b
2:	mov %rbx, %rdi
	call _raw_spin_lock
	add $8, %rsp
	pop %rbp
	pop %rbx
	ret
	endfunc loop_on_register

# Two paths meet with different values; only what holds on both holds behind. The
# value is 1 or 2, never 3: the lock is not taken.
# want meet: neutral
	func meet
	push %rbx
	push %rbp
	sub $8, %rsp
	mov %rdi, %rbx
	mov $1, %ebp
	test %esi, %esi
	je 1f
	mov $2, %ebp
1:	call work
	cmp $3, %ebp
	jne 2f
	mov %rbx, %rdi
	call _raw_spin_lock
2:	add $8, %rsp
	pop %rbp
	pop %rbx
	ret
	endfunc meet

# The same, with the second path's value: the lock is taken when arg1 is not zero.
# want meet_second: +spin:arg0 when arg1 assumed
	func meet_second
	push %rbx
	push %rbp
	sub $8, %rsp
	mov %rdi, %rbx
	mov $1, %ebp
	test %esi, %esi
	je 1f
	mov $2, %ebp
1:	cmp $2, %ebp
	jne 2f
	mov %rbx, %rdi
	call _raw_spin_lock
2:	add $8, %rsp
	pop %rbp
	pop %rbx
	ret
	endfunc meet_second

# Signed and unsigned: -1 is below zero only for the one.
# want signed_less: +spin:arg0
	func signed_less
	mov $-1, %eax
	cmp $1, %eax
	jge 1f
	jmp _raw_spin_lock
1:	ret
	endfunc signed_less

# want unsigned_less: neutral
	func unsigned_less
	mov $-1, %eax
	cmp $1, %eax
	jae 1f
	jmp _raw_spin_lock
1:	ret
	endfunc unsigned_less

# want above_equal: +spin:arg0
	func above_equal
	mov $7, %eax
	cmp $7, %eax
	ja 1f
	jmp _raw_spin_lock
1:	ret
	endfunc above_equal

# want below_equal: neutral
	func below_equal
	mov $7, %eax
	cmp $7, %eax
	jbe 1f
	jmp _raw_spin_lock
1:	ret
	endfunc below_equal

# One of two paths restores a flag that nobody saw saved, so that what is found rests
# on an assumption; on whichever path that is.
# want assumed_second: neutral assumed
	func assumed_second
	cli
	test %edi, %edi
	je 1f
	sti
	jmp 2f
1:	push (%rsi)
	popf
2:	call work
	ret
	endfunc assumed_second

# want assumed_first: neutral assumed
	func assumed_first
	cli
	test %edi, %edi
	je 1f
	push (%rsi)
	popf
	jmp 2f
1:	sti
2:	call work
	ret
	endfunc assumed_first

# Two paths know different bounds of a value; behind, only both together hold. It is
# 1 to 6: the lock is not taken for 7, and is for 5.
# want bounds_low: neutral
	func bounds_low
	push %rbx
	mov %rdi, %rbx
	mov $1, %eax
	test %esi, %esi
	je 1f
	mov $6, %eax
1:	cmp $6, %eax
	jbe 2f
	mov %rbx, %rdi
	call _raw_spin_lock
2:	pop %rbx
	ret
	endfunc bounds_low

# The argument is known to be above 10 on one path and above 20 on the other.
# want bounds_of_argument: +spin:arg0 when arg1
	func bounds_of_argument
	push %rbx
	mov %rdi, %rbx
	cmp $10, %esi
	jbe 3f
	cmp $20, %esi
	jbe 1f
	nop
1:	cmp $15, %esi
	jbe 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	pop %rbx
	ret
	endfunc bounds_of_argument

# Above 20 on the path that comes first, 11 to 20 on the other: 15 may be below.
# want bounds_first: +spin:arg0 when arg1
	func bounds_first
	push %rbx
	mov %rdi, %rbx
	cmp $10, %esi
	jbe 3f
	cmp $20, %esi
	jbe 1f
	nop
1:	cmp $15, %esi
	ja 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	pop %rbx
	ret
	endfunc bounds_first

# The same, with the paths exchanged.
# want bounds_second: +spin:arg0 when arg1
	func bounds_second
	push %rbx
	mov %rdi, %rbx
	cmp $10, %esi
	jbe 3f
	cmp $20, %esi
	ja 1f
	nop
1:	cmp $15, %esi
	ja 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	pop %rbx
	ret
	endfunc bounds_second

# One path knows that the argument is above 20, the other nothing.
# want bounds_on_one: possible +spin:arg0 unknown
	func bounds_on_one
	push %rbx
	mov %rdi, %rbx
	test %edx, %edx
	je 1f
	cmp $20, %esi
	jbe 3f
1:	cmp $15, %esi
	ja 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	pop %rbx
	ret
	endfunc bounds_on_one

# want bounds_on_other: possible +spin:arg0 unknown
	func bounds_on_other
	push %rbx
	mov %rdi, %rbx
	test %edx, %edx
	jne 2f
	cmp $20, %esi
	jbe 3f
2:	cmp $15, %esi
	ja 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	pop %rbx
	ret
	endfunc bounds_on_other

# A slot of the frame that one path alone has written: its old value is not what it
# holds, nor is the new one.
# want slot_on_one: +spin:arg0 when arg1 assumed
	func slot_on_one
	push %rbx
	sub $16, %rsp
	mov %rdi, %rbx
	movl $1, 8(%rsp)
	test %esi, %esi
	je 1f
	movl $2, 8(%rsp)
1:	call work
	cmpl $2, 8(%rsp)
	jne 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	add $16, %rsp
	pop %rbx
	ret
	endfunc slot_on_one

# The path that knows comes first.
# want bounds_forgotten: possible +spin:arg0 unknown
	func bounds_forgotten
	push %rbx
	mov %rdi, %rbx
	test %edx, %edx
	je 2f
	cmp $20, %esi
	jbe 3f
	jmp 1f
2:	nop
1:	cmp $15, %esi
	ja 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	pop %rbx
	ret
	endfunc bounds_forgotten

# The same, with the paths exchanged.
# want bounds_forgotten_too: possible +spin:arg0 unknown
	func bounds_forgotten_too
	push %rbx
	mov %rdi, %rbx
	test %edx, %edx
	je 2f
	nop
	jmp 1f
2:	cmp $20, %esi
	jbe 3f
1:	cmp $15, %esi
	ja 3f
	mov %rbx, %rdi
	call _raw_spin_lock
3:	pop %rbx
	ret
	endfunc bounds_forgotten_too

# A counter that is compared in each of a million rounds: what is known of it grows
# until it is given up, and the rest is known all the same.
# want counts_long: +spin:arg0
	func counts_long
	push %rbx
	push %rbp
	sub $8, %rsp
	mov %rdi, %rbx
	xor %ebp, %ebp
1:	call work
	add $1, %ebp
	cmp $1000000, %ebp
	jne 1b
	mov %rbx, %rdi
	call _raw_spin_lock
	add $8, %rsp
	pop %rbp
	pop %rbx
	ret
	endfunc counts_long

# What the loop stores through a pointer that it has just loaded is not where the
# next round's pointer leads: the object whose lock is taken at the end is the last.
# want last_of_list: +spin:?
	func last_of_list
	push %rbx
	test %rdi, %rdi
	je 2f
1:	mov %rdi, %rbx
	movl $1, 16(%rbx)
	mov 8(%rbx), %rdi
	test %rdi, %rdi
	jne 1b
	mov %rbx, %rdi
	call _raw_spin_lock
2:	pop %rbx
	ret
	endfunc last_of_list

# The flag that the loop tests is set in it: in the next round it is not what it was.
# want flag_in_loop: neutral
	func flag_in_loop
	push %rbx
	push %rbp
	sub $8, %rsp
	mov %rdi, %rbx
	call _raw_spin_lock
1:	movl $0, 8(%rbx)
	mov %rbx, %rdi
	call work
	cmpl $0, 8(%rbx)
	je 1b
	mov %rbx, %rdi
	call _raw_spin_unlock
	add $8, %rsp
	pop %rbp
	pop %rbx
	ret
	endfunc flag_in_loop

# Each round loads the pointer anew: two locks of two objects, taken and released.
# want each_of_list: neutral
	func each_of_list
	push %rbx
	mov %rdi, %rbx
1:	mov 8(%rbx), %rbx
	test %rbx, %rbx
	je 2f
	mov %rbx, %rdi
	call _raw_spin_lock
	movl $5, 24(%rbx)
	mov %rbx, %rdi
	call _raw_spin_unlock
	cmpl $5, 24(%rbx)
	je 1b
	jmp 1b
2:	pop %rbx
	ret
	endfunc each_of_list

# Somebody else sets the flag that this loop waits for: what one round has read says
# nothing of the next.
# want waits_for_flag: neutral
	func waits_for_flag
	push %rbx
	mov %rdi, %rbx
	call _raw_spin_lock
1:	cmpl $0, 8(%rbx)
	je 1b
	mov %rbx, %rdi
	call _raw_spin_unlock
	pop %rbx
	ret
	endfunc waits_for_flag

# Each round has another object: what the last one had written into it is not in
# this one, so that the lock may be taken.
# want written_in_last: possible +spin:?+0x20 unknown
	func written_in_last
	push %rbx
	push %rbp
	sub $8, %rsp
	mov %rdi, %rbx
	xor %ebp, %ebp
1:	mov 8(%rbx), %rbx
	test %rbx, %rbx
	je 3f
	test %ebp, %ebp
	je 2f
	cmpl $5, 24(%rbx)
	jne 4f
2:	movl $5, 24(%rbx)
	mov $1, %ebp
	jmp 1b
4:	lea 32(%rbx), %rdi
	call _raw_spin_lock
3:	add $8, %rsp
	pop %rbp
	pop %rbx
	ret
	endfunc written_in_last

# What memory holds after a locked instruction, nobody can tell from what it held
# before: another processor may have changed it in between. Each of these takes the
# lock or not.
	.macro counter name, insn:vararg
	func \name
	cmpl $2, 8(%rsi)
	jne 1f
	\insn
	je 2f
1:	ret
2:	sub $8, %rsp
	call _raw_spin_lock
	add $8, %rsp
	ret
	endfunc \name
	.endm

# want unlocked_sub: neutral
	counter unlocked_sub, subl $1, 8(%rsi)
# want locked_sub: possible +spin:arg0 unknown
	counter locked_sub, lock subl $1, 8(%rsi)
# want locked_add: possible +spin:arg0 unknown
	counter locked_add, lock addl $-1, 8(%rsi)
# want locked_and: possible +spin:arg0 unknown
	counter locked_and, lock andl $2, 8(%rsi)
# want locked_xor: possible +spin:arg0 unknown
	counter locked_xor, lock xorl $4, 8(%rsi)
# want unlocked_or: neutral
	counter unlocked_or, orl $4, 8(%rsi)
# want locked_or: possible +spin:arg0 unknown
	counter locked_or, lock orl $4, 8(%rsi)
# want locked_dec: possible +spin:arg0 unknown
	counter locked_dec, lock decl 8(%rsi)
# want locked_inc: possible +spin:arg0 unknown
	counter locked_inc, lock incl 8(%rsi)
# want locked_neg: possible +spin:arg0 unknown
	counter locked_neg, lock negl 8(%rsi)

# A shift to the right keeps the sign of what it shifts, of four bytes too: -5 >> 8 is -1.
# want shifted_sign: +spin:arg0
	func shifted_sign
	mov $-5, %eax
	sar $8, %eax
	cmp $-1, %eax
	jne 1f
	sub $8, %rsp
	call _raw_spin_lock
	add $8, %rsp
1:	ret
	endfunc shifted_sign

# Of a count the processor takes the low five bits, for four bytes: 1 << 33 is 2.
# want shifted_far: +spin:arg0
	func shifted_far
	mov $1, %eax
	mov $33, %ecx
	shl %cl, %eax
	cmp $2, %eax
	jne 1f
	sub $8, %rsp
	call _raw_spin_lock
	add $8, %rsp
1:	ret
	endfunc shifted_far

# The sign of 0 - x is not that of x: for 5 it is set. Of other numbers it is not known,
# and the result of work does not tell.
# want sign_of_difference: possible +spin:arg0 when arg1 unknown
	func sign_of_difference
	xor %eax, %eax
	cmp %rsi, %rax
	jns 1f
	cmp $5, %rsi
	jne 1f
	sub $8, %rsp
	call _raw_spin_lock
	add $8, %rsp
1:	sub $8, %rsp
	call work
	add $8, %rsp
	ret
	endfunc sign_of_difference

# The preempt count: bits 0 to 7 for preemption, 8 to 15 for bottom halves, which count by
# 0x200 (include/linux/preempt.h, v6.1). Others are for interrupts, which end by themselves.
	.data
	.globl __preempt_count
	.type __preempt_count, @object
	.size __preempt_count, 4
__preempt_count:
	.long 0
	.macro counts name, insn:vararg
	func \name
	\insn
	ret
	endfunc \name
	.endm
# want count_up: context +preempt
	counts count_up, incl %gs:__preempt_count(%rip)
# want count_down: context -preempt
	counts count_down, decl %gs:__preempt_count(%rip)
# want count_add: context +preempt
	counts count_add, addl $1, %gs:__preempt_count(%rip)
# want count_sub: context -preempt
	counts count_sub, subl $1, %gs:__preempt_count(%rip)
# want count_halves: +bh
	counts count_halves, addl $0x200, %gs:__preempt_count(%rip)
# want count_halves_back: -bh
	counts count_halves_back, subl $0x200, %gs:__preempt_count(%rip)
# want count_halves_add: -bh
	counts count_halves_add, addl $-0x200, %gs:__preempt_count(%rip)
# want count_both: +bh context +preempt
	counts count_both, addl $0x201, %gs:__preempt_count(%rip)
# want count_both_back: -bh context -preempt
	counts count_both_back, subl $0x201, %gs:__preempt_count(%rip)
# want count_interrupt: neutral
	counts count_interrupt, addl $0x10000, %gs:__preempt_count(%rip)
# want count_balanced: neutral
	func count_balanced
	incl %gs:__preempt_count(%rip)
	call work
	decl %gs:__preempt_count(%rip)
	ret
	endfunc count_balanced

# local_irq_restore, compiled inline, gives back what local_irq_save has found.
# want irq_saved: neutral
	func irq_saved
	push %rbx
	pushfq
	pop %rbx
	cli
	call work
	test $0x200, %ebx
	je 1f
	sti
1:	pop %rbx
	ret
	endfunc irq_saved

# Of flags that a caller has saved, what they were is not known; it enables or leaves alone.
# want irq_of_caller: context -irq
	func irq_of_caller
	test $0x200, %edi
	je 1f
	sti
1:	ret
	endfunc irq_of_caller

# Another bit of the same word is no interrupt flag.
# want other_bit: context -irq unknown
	func other_bit
	test $0x400, %edi
	je 1f
	sti
1:	ret
	endfunc other_bit

# Locks of the running task, and of this CPU, by the function itself and by one that calls it.
	.data
	.globl current_task, this_cpu_off, cpu_lock
	.type current_task, @object
	.size current_task, 8
current_task:
	.quad 0
	.type this_cpu_off, @object
	.size this_cpu_off, 8
this_cpu_off:
	.quad 0
	.type cpu_lock, @object
	.size cpu_lock, 8
cpu_lock:
	.quad 0
# want of_task: +spin:current+0x10
	func of_task
	sub $8, %rsp
	mov %gs:current_task(%rip), %rdi
	add $0x10, %rdi
	call _raw_spin_lock
	add $8, %rsp
	ret
	endfunc of_task
# want of_task_too: +spin:current+0x10
	func of_task_too
	sub $8, %rsp
	call of_task
	add $8, %rsp
	ret
	endfunc of_task_too
# want of_task_balanced: neutral
	func of_task_balanced
	sub $8, %rsp
	call of_task
	mov %gs:current_task(%rip), %rdi
	add $0x10, %rdi
	call _raw_spin_unlock
	add $8, %rsp
	ret
	endfunc of_task_balanced
# want of_cpu: +spin:percpu cpu_lock
	func of_cpu
	sub $8, %rsp
	mov $cpu_lock, %rdi
	add %gs:this_cpu_off(%rip), %rdi
	call _raw_spin_lock
	add $8, %rsp
	ret
	endfunc of_cpu
# want of_cpu_balanced: neutral
	func of_cpu_balanced
	sub $8, %rsp
	call of_cpu
	mov $cpu_lock, %rdi
	add %gs:this_cpu_off(%rip), %rdi
	call _raw_spin_unlock
	add $8, %rsp
	ret
	endfunc of_cpu_balanced

# What a string instruction writes over is not what it was, and the rest of the frame is: the
# first flag is lost, so that nothing tells whether the lock is held.
	.macro strings name, at
	func \name
	push %rbx
	sub $32, %rsp
	mov %rdi, %rbx
	movq $1, (%rsp)
	movq $1, 24(%rsp)
	lea 16(%rsp), %rdi
	mov $2, %ecx
	xor %eax, %eax
	rep stosq
	cmpq $1, \at(%rsp)
	jne 1f
	mov %rbx, %rdi
	call _raw_spin_lock
1:	call work
	add $32, %rsp
	pop %rbx
	ret
	endfunc \name
	.endm
# want string_below: +spin:arg0
	strings string_below, 0
# want string_over: possible +spin:arg0 unknown
	strings string_over, 24

# Two functions that call each other, and leave what they take to the last one.
# want ping: neutral
	func ping
	push %rbx
	mov %rdi, %rbx
	call _raw_spin_lock
	mov %rbx, %rdi
	call pong
	mov %rbx, %rdi
	call _raw_spin_unlock
	pop %rbx
	ret
	endfunc ping
# want pong: neutral
	func pong
	push %rbx
	mov 8(%rdi), %rbx
	test %rbx, %rbx
	je 1f
	mov %rbx, %rdi
	call ping
1:	pop %rbx
	ret
	endfunc pong
