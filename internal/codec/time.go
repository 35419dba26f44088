package codec

import (
	"encoding/binary"
	"time"
	"unsafe"
)

// A time travels as its seconds since 1970, its nanoseconds, and a zone code: UTC, a definition that follows, or the
// number of an earlier definition in the same message. Defining a zone once per message keeps a slice of local times
// small. A monotonic reading means nothing to another process and is dropped.
const (
	zoneUTC    = 0
	zoneNew    = 1 // a definition follows
	zoneLocal  = 2 // a definition follows; it is the sender's time.Local
	firstKnown = 3 // firstKnown+i is the definition i of this message
)

// instantSize is the wire size of seconds and nanoseconds, and minTime that of the shortest time.
const (
	instantSize = 8 + 4
	minTime     = instantSize + 1
)

func encTime(e *encoder, _ *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	t := *(*time.Time)(p)
	b = binary.NativeEndian.AppendUint64(b, uint64(t.Unix()))
	b = binary.NativeEndian.AppendUint32(b, uint32(t.Nanosecond()))
	loc := t.Location()
	if loc == time.UTC {
		return append(b, zoneUTC), nil
	}
	if loc == e.zones.last {
		return appendUvarint(b, e.zones.lastCode), nil
	}
	return e.zones.append(e, b, loc)
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
	code, rest, err := d.uvarint(s[instantSize:])
	if err != nil {
		return s, err
	}
	t := time.Unix(sec, int64(nsec))
	switch {
	case code == zoneUTC:
		*(*time.Time)(p) = t.UTC()
		return rest, nil
	case code == zoneNew || code == zoneLocal:
		var def []byte
		if def, rest, err = d.bytes(rest); err != nil {
			return s, err
		}
		loc, err := zoneFrom(def, code == zoneLocal)
		if err != nil {
			return s, d.malformed(rest, err.Error())
		}
		d.zones = append(d.zones, loc)
		*(*time.Time)(p) = t.In(loc)
		return rest, nil
	case code-firstKnown >= uint64(len(d.zones)):
		return s, d.malformed(s, "an unknown time zone")
	}
	*(*time.Time)(p) = t.In(d.zones[code-firstKnown])
	return rest, nil
}

// A zoneWriter numbers the zones of one message.
type zoneWriter struct {
	last     *time.Location
	lastCode uint64
	byLoc    map[*time.Location]uint64 // codes
	byDef    map[zoneKey]uint64        // the same, for locations that differ in their address only
}

type zoneKey struct {
	def   string
	local bool
}

func (w *zoneWriter) reset() {
	if w.last != nil {
		*w = zoneWriter{}
	}
}

// append writes the code of a location, and its definition unless this message has it already.
func (w *zoneWriter) append(e *encoder, b []byte, loc *time.Location) ([]byte, error) {
	if code, ok := w.byLoc[loc]; ok {
		w.last, w.lastCode = loc, code
		return appendUvarint(b, code), nil
	}
	def, err := zoneDefinition(loc)
	if err != nil {
		return b, err
	}
	key := zoneKey{def, loc == time.Local}
	code, ok := w.byDef[key]
	if ok {
		b = appendUvarint(b, code)
	} else {
		if e.room(b) < len(def) {
			return b, e.tooLarge()
		}
		code = firstKnown + uint64(len(w.byDef))
		if w.byDef == nil {
			w.byDef = make(map[zoneKey]uint64)
			w.byLoc = make(map[*time.Location]uint64)
		}
		w.byDef[key] = code
		if key.local {
			b = append(b, zoneLocal)
		} else {
			b = append(b, zoneNew)
		}
		b = append(appendUvarint(b, uint64(len(def))), def...)
	}
	// Parsing a time can make a new location each time, so a million times may have a million.
	if len(w.byLoc) < maxZones {
		w.byLoc[loc] = code
	}
	w.last, w.lastCode = loc, code
	return b, nil
}
