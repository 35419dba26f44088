package main

// function is a generic function that runs for each item, or for each call of a
// few tiny items, and what its instances may call.
type function struct {
	// name is the function without its package and type arguments, such as
	// "mapItems" or "(*stream).run". So the check survives a move between packages.
	name string

	// instances is how many instances of it testdata/user must have at least.
	instances int

	// indirect is how many calls through a function value an instance may
	// contain: one is the user's fn, and a deferred function is called at each return.
	indirect int

	// calls names the functions that an instance may call, beside those of
	// always. Functions of this module are written as name is, others with their
	// package. Each is a slow path or known to cost less than it is worth.
	calls []string
}

// functions is what is checked. A function that is renamed must be renamed here.
var functions = []function{
	// The loops on goroutines.
	{name: "mapItems", instances: 3, indirect: 3, calls: []string{
		"WithoutYield", "runtime.deferreturn", // at the end
	}},
	{name: "eachItem", instances: 3, indirect: 3, calls: []string{
		"WithoutYield", "runtime.deferreturn", // at the end
	}},
	{name: "(*Stream).Run", instances: 3, indirect: 1, calls: []string{
		"(*slots).find",    // once for each segment
		"(*Stream).finish", // too large to be inlined
	}},
	{name: "(*Stream).finish", instances: 3, calls: []string{
		"(*window).finished", // wakes the loop if it waits for this item
		"(*ready).add",       // with Unordered, seldom
	}},

	// What MapSeq's loop and its input do for each item.
	{name: "(*Stream).take", instances: 3, calls: []string{
		"(*Stream).reach", "(*Stream).errorOf", // once for some items
		"(*window).took",
	}},
	{name: "(*Stream).pushAll-range1", instances: 3, calls: []string{
		"(*Stream).push", "(*Stream).hasSpace",
		"runtime.panicrangestate",
	}},
	{name: "(*Stream).hasSpace", instances: 3, calls: []string{
		"(*window).waitForSpace", // once for some items
	}},
	{name: "(*Stream).push", instances: 3, calls: []string{
		"(*slots).begin", // once for each segment
		"(*Call).Extend", // has a lock to take if a claim sleeps
	}},

	// The loops of a worker process, for Register and RegisterEach.
	{name: "runPlain", instances: 6, calls: []string{
		"(*Part).Data", "(*Part).Count", // once for each part
		"runSome", "(*Part).Some", // once for each MiB of results
		"runtime.panicunsafeslicelen", "runtime.panicunsafeslicenilptr",
	}},
	{name: "runSome", instances: 6, indirect: 1},
	{name: "runPart", instances: 6, indirect: 1, calls: []string{
		"runPlain", "(*Part).Timeout", "(*Part).ItemSize", "(*Part).Limit", // once for each part
		"(*Plan).DecodeUntil", "(*Plan).AppendUntil", // the codec's work
		"(*Part).Next", "(*Part).Buffer", "(*Part).Put", // too large to be inlined
		"decodeItemError", "encodeResultError",
		"runtime.newobject", // twice for each part
	}},

	// What a call of a few tiny items passes through once, before its loop.
	{name: "Map", instances: 3, calls: []string{
		"Of", "Inline", "inlineError", "mapTogether",
		"runtime.makeslice", // the results
		"runtime.gopanic", "runtime.concatstring3", "runtime.convTstring",
	}},
	{name: "ForEach", instances: 3, calls: []string{
		"Of", "Inline", "inlineError", "newSettings", "limitedEach", "newEachJob", "runSlice",
		"runtime.newobject", // for a call that is not run inline
		"runtime.gopanic", "runtime.concatstring3", "runtime.convTstring",
	}},
}

// always is what the compiler may put anywhere: checks of the stack and of
// bounds, write barriers, copies and clearing of large values. A name that ends in
// an asterisk stands for all that begin so.
var always = []string{
	"runtime.morestack*",
	"runtime.panicBounds", "runtime.panicIndex*", "runtime.panicSlice*",
	"runtime.panicdivide", "runtime.panicshift",
	"runtime.gcWriteBarrier*", "runtime.wbMove", "runtime.wbZero",
	"runtime.typedmemmove", "runtime.typedmemclr",
	"runtime.memmove", "runtime.memclrNoHeapPointers",
	"runtime.duffcopy*", "runtime.duffzero*",
}
