	.text
	.space 0x5678
	.globl printk
	.type printk, %function
printk:	ret
	.size printk, .-printk
	.globl outside
	.type outside, %function
outside: ret
	.size outside, .-outside
	.globl use
	.type use, %function
use:	ret
	.size use, .-use
	.data
	.space 0x128
	.globl counter
	.type counter, %object
	.size counter, 8
counter: .quad 0
