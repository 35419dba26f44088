package codec

import (
	"encoding/binary"
	"time"
	"unsafe"
)

// A time travels as its seconds since 1970, its nanoseconds, and a code for its location: UTC, a zone that is defined
// here, or a zone that the message has defined before. Defining a zone once keeps a slice of local times small. A
// monotonic reading means nothing to another process and is dropped.
const (
	zoneUTC    = 0
	zoneFixed  = 1 // the offset, as a varint, and the name follow
	zoneNamed  = 2 // the offset, the name and the abbreviation follow
	zoneLocal  = 4 // is added to one of these two if the location is the sender's time.Local
	firstKnown = 8 // firstKnown+i is zone i of the message's zoneTable
)

// instantSize is the wire size of seconds and nanoseconds, and minTime that of the shortest time.
const (
	instantSize = 8 + 4
	minTime     = instantSize + 1
)

func encTime(e *encoder, _ *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	t := *(*time.Time)(p)
	sec, loc := t.Unix(), t.Location()
	b = binary.NativeEndian.AppendUint64(b, uint64(sec))
	b = binary.NativeEndian.AppendUint32(b, uint32(t.Nanosecond()))
	if loc == time.UTC {
		return append(b, zoneUTC), nil
	}
	for i := range e.zones.len() {
		if z := &e.zones.zones[i]; z.loc == loc && z.covers(sec) {
			return append(b, firstKnown+byte(i)), nil
		}
	}
	return e.zone(b, t)
}

// zone writes the zone of a time that is in none of the known ones.
func (e *encoder) zone(b []byte, t time.Time) ([]byte, error) {
	var z zone
	if err := z.describe(t); err != nil {
		return b, err
	}
	if i := e.zones.find(&z, t); i >= 0 {
		return append(b, firstKnown+byte(i)), nil
	}
	name, abbreviation := z.loc.String(), ""
	if z.kind&zoneNamed != 0 {
		abbreviation = z.abbreviation
	}
	if e.room(b) < len(name)+len(abbreviation) {
		return b, e.tooLarge()
	}
	e.zones.add(&z)
	b = binary.AppendVarint(append(b, z.kind), int64(z.offset))
	b = append(appendUvarint(b, uint64(len(name))), name...)
	if z.kind&zoneNamed != 0 {
		b = append(appendUvarint(b, uint64(len(abbreviation))), abbreviation...)
	}
	return b, nil
}

func decTime(d *decoder, _ *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	if len(s) < minTime {
		return s, d.short(s)
	}
	sec := int64(binary.NativeEndian.Uint64(s))
	nsec := binary.NativeEndian.Uint32(s[8:])
	if nsec >= uint32(time.Second) {
		return s, d.malformed(s, "more nanoseconds than a second has")
	}
	t, code, rest := time.Unix(sec, int64(nsec)), s[instantSize], s[minTime:]
	switch {
	case code == zoneUTC:
		t = t.UTC()
	case code < firstKnown:
		loc, after, err := d.zone(rest, code, t)
		if err != nil {
			return s, err
		}
		t, rest = t.In(loc), after
	case int(code-firstKnown) < d.zones.len():
		z := &d.zones.zones[code-firstKnown]
		if t = t.In(z.loc); !z.holds(t) {
			return s, otherTime(t, z.loc.String(), z.abbreviation, z.offset)
		}
	default:
		return s, d.malformed(s, "an unknown time zone")
	}
	*(*time.Time)(p) = t
	return rest, nil
}

// zone reads the definition of a zone and finds its location.
func (d *decoder) zone(s []byte, kind byte, at time.Time) (loc *time.Location, rest []byte, err error) {
	if k := kind &^ zoneLocal; k != zoneFixed && k != zoneNamed {
		return nil, s, d.malformed(s, "an unknown kind of time zone")
	}
	offset, n := binary.Varint(s)
	if n <= 0 || int64(int(offset)) != offset {
		return nil, s, d.malformed(s, "a malformed offset of a time zone")
	}
	name, rest, err := d.bytes(s[n:])
	if err != nil {
		return nil, s, err
	}
	abbreviation := name
	if kind&zoneNamed != 0 {
		if abbreviation, rest, err = d.bytes(rest); err != nil {
			return nil, s, err
		}
	}
	var z zone
	if err := z.locate(at, kind, name, abbreviation, int(offset)); err != nil {
		return nil, s, err
	}
	d.zones.add(&z)
	return z.loc, rest, nil
}
