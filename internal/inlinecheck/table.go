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
	// contain: 1 where that is the user's fn. It is defers for a function with
	// deferred calls, which the compiler makes so at each return.
	indirect int

	// calls names the functions that an instance may call, beside those of
	// always. Functions of this module are written as name is, others with their
	// package. Each is a slow path or known to cost less than it is worth.
	calls []string
}

// defers is more calls than deferred ones can be.
const defers = 1000

// functions is what is checked. A function that is renamed must be renamed here.
var functions = []function{
	// The loops on goroutines.
	{name: "mapItems", instances: 3, indirect: 1},
	{name: "eachItem", instances: 3, indirect: 1},
	{name: "(*stream).run", instances: 3, indirect: 1, calls: []string{
		"(*slots).at",   // locks with Unordered only; too large to be inlined
		"(*stream).put", // the same, and when the loop waits for this item
	}},
	{name: "(*stream).put", instances: 3, indirect: defers, calls: []string{
		"(*stream).finish", // with Unordered
		"sync.(*Cond).Signal", "internal/sync.(*Mutex).lockSlow", "runtime.deferreturn",
	}},
	{name: "(*slots).at", instances: 3, indirect: defers, calls: []string{
		"runtime.mapaccess1_fast64", // with Unordered
		"internal/sync.(*Mutex).lockSlow", "runtime.deferreturn",
	}},

	// What MapSeq's loop and its input do for each item.
	{name: "(*stream).take", instances: 3, calls: []string{
		"(*stream).takeNext", "(*stream).takeAny", // look for the next result
		"sync.(*Cond).Signal", "internal/sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).unlockSlow", // when the input waits
	}},
	{name: "(*stream).takeNext", instances: 3, indirect: defers, calls: []string{
		"(*slots).at",
		"sync.(*Cond).Wait", "runtime.mapaccess1_fast64", "internal/sync.(*Mutex).lockSlow", "runtime.deferreturn", // when it is not there yet
	}},
	{name: "(*stream).read-range1", instances: 3, calls: []string{
		"(*stream).push", "(*stream).waitForSpace", // one turn with the mutex each
		"runtime.panicrangestate",
	}},
	{name: "(*stream).push", instances: 3, indirect: defers, calls: []string{
		"(*slots).add", // makes room
		"sync.(*Cond).Signal", "internal/sync.(*Mutex).lockSlow", "runtime.deferreturn",
	}},
	{name: "(*stream).waitForSpace", instances: 3, indirect: defers, calls: []string{
		"sync.(*Cond).Wait", "internal/sync.(*Mutex).lockSlow", "runtime.deferreturn",
	}},

	// The loops of a worker process, for Register and RegisterEach.
	{name: "runPlain", instances: 6, indirect: 1, calls: []string{
		"(*outbox).emptyTray", // once for each MiB of results
	}},
	{name: "runPart", instances: 6, indirect: 1, calls: []string{
		"runPlain",       // once for each part
		"(*Plan).Decode", // the codec's work
		"(*part).put",    // the same, for the result
		"decodeItemError",
		"runtime.newobject", // twice for each part
	}},

	// What a call of a few tiny items passes through once, before its loop.
	{name: "Map", instances: 3, calls: []string{
		"costOf", "alone", "itemError", "mapTogether",
		"runtime.makeslice", // the results
		"runtime.gopanic", "runtime.concatstring3", "runtime.convTstring",
	}},
	{name: "ForEach", instances: 3, calls: []string{
		"costOf", "alone", "itemError", "newSettings", "limitedEach", "runSlice",
		"runtime.newobject", // for a call that is not done by the caller alone
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
