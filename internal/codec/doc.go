// Package codec carries Go values between two processes that run the same program, so that what arrives equals what
// was sent: nil and empty slices stay apart, NaN keeps its bits, a time keeps its location, a sentinel error keeps
// its identity. What cannot arrive whole is refused when the type is first seen, with the path to it.
//
// # Plans
//
// A type is compiled once, by [Types.Plan], to a graph of nodes (one for each type that can be reached from it), and
// the graph is walked for each value. A struct's node is a short program of operations at offsets: neighbouring
// fields that are plain memory are copied in one operation, strings and slices of plain memory are handled in the
// loop, everything else is a call of another node. Only maps, interfaces and marshalers go through reflect.
//
// # How a type crosses
//
// A type crosses in the first of these ways that it has:
//
//  1. by a codec that is registered for it ([Types.RegisterCodec]);
//  2. by what this package has for it: time.Time, regexp.Regexp;
//  3. by its structure, if none of its fields is hidden and all of its parts can cross in any of these ways. A hidden
//     field is an unexported one; the exported fields of an embedded struct of an unexported type are not hidden.
//     url.Userinfo counts as if its fields were exported;
//  4. by a pair of methods of its own: MarshalBinary, GobEncode or MarshalText with its counterpart, in this order.
//
// Structure comes before methods since these often lose something. The decision is made once, when the type is first
// compiled, so a codec must be registered before. A zero value crosses as a zero value: neither methods nor codecs are
// asked, of which many refuse it.
//
// # The wire
//
//	plain memory     its bytes in native order; integers, floats, complex numbers, and arrays and structs of them.
//	                 A struct with padding, blank fields or bools goes field by field: padding holds whatever was
//	                 there before, and would make two encodings of one value differ
//	bool             one byte, 0 or 1
//	string           length, bytes
//	slice            0 for nil, else length+1, elements
//	map              0 for nil, else length+1, keys and values in turn
//	pointer          0 for nil, else 1 and what it points to
//	interface        0 for nil, else 1+2*type id and the value, or 2+2*sentinel id. The ids of the less frequent types
//	                 that are known from the start begin at 16384
//	marshaler        0 for a zero value, else length+1, bytes; a codec is a marshaler too
//	time.Time        seconds (8 bytes), nanoseconds (4 bytes), location: 0 for UTC, a definition (fixed zone or name in
//	                 the time zone database, with abbreviation and offset), or 8+place of an earlier definition
//
// Lengths and ids are unsigned varints. Both sides run the same build for the same architecture, which they establish
// by comparing [Plan.Shape] and [Types.Describe]; nothing on the wire repeats it.
//
// # Untrusted input
//
// The decoder reads bytes from a process that may be hostile. It does not panic, its nesting is limited, it consumes
// all input or fails, and it allocates at most 256 bytes for each byte of input plus 4 KiB. Two rules make
// that hold for every type: a length is compared with the bytes that remain before memory is allocated for it, and
// every type takes at least one byte on the wire for each 24 bytes in memory ([memoryPerByte]), for which types that
// would take less are filled up with zeros. What a type's own Unmarshal method, or a codec, allocates is its matter. A name
// in the time zone database makes the process load that zone, once.
// Every byte of input is read into this process's memory before it is checked, so input that changes during a call
// can give a wrong value but no invalid one.
package codec
