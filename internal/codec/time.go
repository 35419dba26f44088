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
	sent     []sentZone
	codes    map[sentZone]uint64 // the same when there are more than fewZones; sentZone.loc is nil in one of two entries
}

// A sentZone is a zone that the message has defined. Two locations with the same definition are the same zone.
type sentZone struct {
	loc   *time.Location
	def   string
	local bool
}

// fewZones is how many zones are found faster by looking at each.
const fewZones = 8

func (w *zoneWriter) reset() {
	if w.last == nil {
		return
	}
	clear(w.sent)
	*w = zoneWriter{sent: w.sent[:0]}
	if cap(w.sent) > maxZones {
		w.sent = nil
	}
}

// append writes the code of a location, and its definition unless this message has it already.
func (w *zoneWriter) append(e *encoder, b []byte, loc *time.Location) ([]byte, error) {
	code, ok := w.find(sentZone{loc: loc})
	if !ok {
		def, err := zoneDefinition(loc)
		if err != nil {
			return b, err
		}
		zone := sentZone{loc, def, loc == time.Local}
		if code, ok = w.find(sentZone{def: def, local: zone.local}); !ok {
			return w.define(e, b, zone)
		}
		w.remember(zone, code)
	}
	w.last, w.lastCode = loc, code
	return appendUvarint(b, code), nil
}

func (w *zoneWriter) define(e *encoder, b []byte, zone sentZone) ([]byte, error) {
	if e.room(b) < len(zone.def) {
		return b, e.tooLarge()
	}
	if zone.local {
		b = append(b, zoneLocal)
	} else {
		b = append(b, zoneNew)
	}
	w.last, w.lastCode = zone.loc, firstKnown+uint64(len(w.sent))
	w.sent = append(w.sent, zone)
	w.remember(zone, w.lastCode)
	b = appendUvarint(b, uint64(len(zone.def)))
	return append(b, zone.def...), nil
}

// find looks for a zone by its location or by its definition, whichever z has.
func (w *zoneWriter) find(z sentZone) (code uint64, ok bool) {
	if w.codes != nil {
		code, ok = w.codes[z]
		return code, ok
	}
	for i, s := range w.sent {
		if z.loc != nil && s.loc == z.loc || z.loc == nil && s.def == z.def && s.local == z.local {
			return firstKnown + uint64(i), true
		}
	}
	return 0, false
}

// remember makes a zone be found once there are many. Parsing a time can make a new location each time, so not all
// locations with the same definition are kept.
func (w *zoneWriter) remember(zone sentZone, code uint64) {
	if w.codes == nil && len(w.sent) > fewZones {
		w.codes = make(map[sentZone]uint64)
		for i, s := range w.sent {
			w.remember(s, firstKnown+uint64(i))
		}
	}
	if w.codes == nil {
		return
	}
	w.codes[sentZone{def: zone.def, local: zone.local}] = code
	if len(w.codes) < maxZones {
		w.codes[sentZone{loc: zone.loc}] = code
	}
}
