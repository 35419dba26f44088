package codec

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// zoneRules is what a time.Location holds besides its name.
type zoneRules struct {
	zones       []zone
	transitions []transition // in order of time
	extend      string       // the rule after the last transition, as in the environment variable TZ
}

type zone struct {
	name   string // abbreviation
	offset int    // seconds east of UTC
	dst    bool
}

type transition struct {
	when int64 // seconds since 1970
	zone uint8 // that begins then
}

// locationFields holds the positions of the fields of time.Location that are read, and whether they are there.
type locationFields struct {
	zone, tx, extend    int
	name, offset, isDST int // in an element of zone
	when, index         int // in an element of tx
	known               bool
}

// fieldsOfLocation looks the fields up. time.Location has no method for its rules, but reflect may read them. Should a
// later Go keep them differently, known is false and zones go by their names.
var fieldsOfLocation = sync.OnceValue(func() (f locationFields) {
	ok := true
	find := func(rt reflect.Type, name string, kind reflect.Kind) int {
		if rt.Kind() != reflect.Struct {
			ok = false
			return 0
		}
		field, found := rt.FieldByName(name)
		if !found || field.Type.Kind() != kind || len(field.Index) != 1 {
			ok = false
			return 0
		}
		return field.Index[0]
	}
	elem := func(rt reflect.Type, i int) reflect.Type {
		if !ok {
			return reflect.TypeFor[int]()
		}
		return rt.Field(i).Type.Elem()
	}
	loc := reflect.TypeFor[time.Location]()
	f.zone = find(loc, "zone", reflect.Slice)
	f.tx = find(loc, "tx", reflect.Slice)
	f.extend = find(loc, "extend", reflect.String)
	zone := elem(loc, f.zone)
	f.name = find(zone, "name", reflect.String)
	f.offset = find(zone, "offset", reflect.Int)
	f.isDST = find(zone, "isDST", reflect.Bool)
	tx := elem(loc, f.tx)
	f.when = find(tx, "when", reflect.Int64)
	f.index = find(tx, "index", reflect.Uint8)
	f.known = ok
	return f
})

// readZone reads the rules of a location; not ok if this Go keeps them in a way unknown to this package.
func readZone(loc *time.Location) (*zoneRules, bool) {
	f := fieldsOfLocation()
	if !f.known {
		return nil, false
	}
	_ = loc.String() // fills in time.Local, which is empty until it is first used
	v := reflect.ValueOf(loc).Elem()
	r := &zoneRules{extend: v.Field(f.extend).String()}
	for i, zones := 0, v.Field(f.zone); i < zones.Len(); i++ {
		z := zones.Index(i)
		r.zones = append(r.zones, zone{z.Field(f.name).String(), int(z.Field(f.offset).Int()), z.Field(f.isDST).Bool()})
	}
	for i, tx := 0, v.Field(f.tx); i < tx.Len(); i++ {
		t := tx.Index(i)
		r.transitions = append(r.transitions, transition{t.Field(f.when).Int(), uint8(t.Field(f.index).Uint())})
	}
	return r, true
}

// fixed reports whether the rules are those that time.FixedZone makes.
func (r *zoneRules) fixed(name string) bool {
	return len(r.zones) == 1 && r.zones[0].name == name && !r.zones[0].dst && r.extend == "" &&
		len(r.transitions) == 1 && r.transitions[0].when == math.MinInt64
}

// instants are those at which another location must agree with the rules to be the same: around each transition, and
// through thirty years of the rule that follows the last.
func (r *zoneRules) instants() []int64 {
	instants := []int64{-1 << 40, 0, 1 << 40}
	for _, t := range r.transitions {
		instants = append(instants, t.when, t.when-1)
	}
	if r.extend != "" {
		start := int64(70 * 365 * day)
		for i := range int64(30 * 12) {
			instants = append(instants, start+i*30*day)
		}
	}
	return instants
}

// tzifMagic begins both headers of a TZif image of version 2, see RFC 8536.
const tzifMagic = "TZif2" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// The first header announces an empty block of 32-bit data, so the image always begins with these bytes. The second
// has six counts, of which the first three are zero here.
const (
	tzifStart  = tzifMagic + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + tzifMagic + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	tzifHeader = len(tzifStart) + 3*4
)

// maxExtend bounds the rule after the last transition, which is parsed anew whenever a later time is looked at. The
// longest in the database has 41 bytes. maxNames bounds the memory for abbreviations, each of which may run from its
// start to the end of the table, in bytes for each byte of the image.
const (
	maxExtend = 256
	maxNames  = 16
)

// image writes the rules as a TZif image; not ok if the format cannot hold them.
func (r *zoneRules) image() ([]byte, bool) {
	chars, starts, ok := r.abbreviations()
	if !ok || strings.Contains(r.extend, "\n") || len(r.extend) > maxExtend {
		return nil, false
	}
	b := []byte(tzifStart)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.transitions)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.zones)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(chars)))
	for _, t := range r.transitions {
		b = binary.BigEndian.AppendUint64(b, uint64(t.when))
	}
	for _, t := range r.transitions {
		b = append(b, t.zone)
	}
	for _, z := range r.zones {
		if int(int32(z.offset)) != z.offset {
			return nil, false
		}
		b = binary.BigEndian.AppendUint32(b, uint32(z.offset))
		b = append(appendBool(b, z.dst), starts[z.name])
	}
	b = append(b, chars...)
	b = append(b, '\n')
	b = append(b, r.extend...)
	return append(b, '\n'), true
}

// abbreviations lays out the names of zones, each ended by a zero, and gives where each begins, which must fit in a
// byte. A name that another one ends with shares its place, as in the files of the database.
func (r *zoneRules) abbreviations() (chars string, starts map[string]uint8, ok bool) {
	var names []string
	for _, z := range r.zones {
		if strings.Contains(z.name, "\x00") {
			return "", nil, false
		}
		names = append(names, z.name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	starts = make(map[string]uint8)
	for _, name := range names {
		at := strings.Index(chars, name+"\x00")
		if at < 0 {
			at = len(chars)
			chars += name + "\x00"
		}
		if at > math.MaxUint8 {
			return "", nil, false
		}
		starts[name] = uint8(at)
	}
	return chars, starts, true
}

// loadImage makes a location from an image that another process wrote. The counts are checked here, since the standard
// library was written for files that are trusted more; it checks the rest.
func loadImage(name string, image []byte) (loc *time.Location, err error) {
	if len(image) < tzifHeader || !bytes.HasPrefix(image, []byte(tzifStart)) {
		return nil, errZone
	}
	counts := image[len(tzifStart):]
	transitions := uint64(binary.BigEndian.Uint32(counts))
	zones := uint64(binary.BigEndian.Uint32(counts[4:]))
	chars := uint64(binary.BigEndian.Uint32(counts[8:]))
	total := uint64(len(image))
	if size := uint64(tzifHeader) + transitions*9 + zones*6 + chars; zones == 0 || size > total || total-size > maxExtend+2 {
		return nil, errZone
	}
	if zones*chars > maxNames*total {
		return nil, errZone
	}
	defer func() {
		if v := recover(); v != nil {
			loc, err = nil, fmt.Errorf("a malformed time zone: %v", v)
		}
	}()
	return time.LoadLocationFromTZData(name, image)
}
