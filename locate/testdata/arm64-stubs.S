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
	.data
	.space 0x128
	.globl counter
	.type counter, %object
	.size counter, 8
counter: .quad 0
