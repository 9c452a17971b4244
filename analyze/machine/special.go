package machine

// special is what an instruction does besides what its rule's letters and lists
// say. A number and a switch, for a call through a pointer would put every
// instruction and its effects on the heap.
type special uint8

const (
	doNothing special = iota
	doAccumulate
	doAnyMemory
	doAnything
	doBitString
	doCompareExchange
	doCompareExchangePair
	doEnclave
	doEnters
	doHypercall
	doInterrupts
	doKeepsFirst
	doLeaves
	doLoadFlags
	doMaskedStore
	doMoveSystem
	doPops
	doPushes
	doReturns
	doShifted
	doStateArea
	doStoresLine
	doStoresTable
	doStringStep
	doTranslate
	doUnknownMemory
	doVectorDest
	doZeroIdiom
	doZeroLine
)

func (s special) apply(in *Inst, e *Effects) {
	switch s {
	case doAccumulate:
		accumulate(in, e)
	case doAnyMemory:
		anyMemory(in, e)
	case doAnything:
		anything(in, e)
	case doBitString:
		bitString(in, e)
	case doCompareExchange:
		compareExchange(in, e)
	case doCompareExchangePair:
		compareExchangePair(in, e)
	case doEnclave:
		enclave(in, e)
	case doEnters:
		enters(in, e)
	case doHypercall:
		hypercall(in, e)
	case doInterrupts:
		interrupts(in, e)
	case doKeepsFirst:
		keepsFirst(in, e)
	case doLeaves:
		leaves(in, e)
	case doLoadFlags:
		loadFlags(in, e)
	case doMaskedStore:
		maskedStore(in, e)
	case doMoveSystem:
		moveSystem(in, e)
	case doPops:
		pops(in, e)
	case doPushes:
		pushes(in, e)
	case doReturns:
		returns(in, e)
	case doShifted:
		shifted(in, e)
	case doStateArea:
		stateArea(in, e)
	case doStoresLine:
		storesLine(in, e)
	case doStoresTable:
		storesTable(in, e)
	case doStringStep:
		stringStep(in, e)
	case doTranslate:
		translate(in, e)
	case doUnknownMemory:
		unknownMemory(in, e)
	case doVectorDest:
		vectorDest(in, e)
	case doZeroIdiom:
		zeroIdiom(in, e)
	case doZeroLine:
		zeroLine(in, e)
	}
}
