package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"time"
)

// A definition of a zone is a kind, the location's name with its length, and what the kind says. It is complete: the
// receiver needs no time zone database, and if it has one, need not have the same version.
const (
	// kindRules: a TZif image with all transitions and the rule for the time after the last.
	kindRules = iota
	// kindFixed: the offset as a varint; the abbreviation is the name.
	kindFixed
	// kindBare: nothing. Such a location has no zones and acts like UTC, as time.Local does under TZ="".
	kindBare
	// kindNamed: a fingerprint of the zone that the receiver must find in its database by this name. It is used only if
	// the internals of time.Location are not what this package knows.
	kindNamed
)

// maxDefinition bounds a definition. The largest in the time zone database takes 4 KiB.
const maxDefinition = 64 << 10

// zoneDefinition gives the definition of a location.
func zoneDefinition(loc *time.Location) (string, error) {
	if def, ok := ownZones.definition(loc); ok {
		return def, nil
	}
	def, err := define(loc, readZone)
	if err != nil {
		return "", err
	}
	ownZones.put(loc, def)
	return def, nil
}

// define makes a definition, with read to look into the location. What it makes is compared with the location, by the
// times of day that both give, before it is trusted.
func define(loc *time.Location, read func(*time.Location) (*zoneRules, bool)) (string, error) {
	name := loc.String()
	r, readable := read(loc)
	if readable {
		if def, ok := r.definition(name); ok && len(def) <= maxDefinition {
			if same, err := buildZone([]byte(def)); err == nil && agree(loc, same, r.instants()) {
				return def, nil
			}
		}
	}
	abbreviation, offset := time.Unix(0, 0).In(loc).Zone()
	if abbreviation == name && agree(loc, time.FixedZone(name, offset), probes()) {
		return fixedDefinition(name, offset), nil
	}
	if same, err := time.LoadLocation(name); !readable && err == nil && agree(loc, same, probes()) {
		def := appendName([]byte{kindNamed}, name)
		return string(binary.BigEndian.AppendUint64(def, fingerprint(loc))), nil
	}
	return "", &ValueError{Reason: fmt.Sprintf("the rules of the time zone %q cannot be read", name)}
}

func appendName(def []byte, name string) []byte {
	return append(appendUvarint(def, uint64(len(name))), name...)
}

func fixedDefinition(name string, offset int) string {
	return string(binary.AppendVarint(appendName([]byte{kindFixed}, name), int64(offset)))
}

// definition describes rules as briefly as they allow; not ok if they have no description.
func (r *zoneRules) definition(name string) (def string, ok bool) {
	if len(r.zones) == 0 {
		return string(appendName([]byte{kindBare}, name)), true
	}
	if r.fixed(name) {
		return fixedDefinition(name, r.zones[0].offset), true
	}
	image, ok := r.image()
	if !ok {
		return "", false
	}
	return string(append(appendName([]byte{kindRules}, name), image...)), true
}

// zoneFrom gives the location of a definition that another process wrote, always the same while it is cached. local
// says that the sender's time.Local is meant, which becomes the receiver's where they agree; else a location of this
// process's own is preferred, so that one which comes back is the same pointer as before.
func zoneFrom(def []byte, local bool) (*time.Location, error) {
	if len(def) > maxDefinition {
		return nil, errors.New("a time zone is too large")
	}
	if local {
		if own, err := zoneDefinition(time.Local); err == nil && own == string(def) {
			return time.Local, nil
		}
	}
	if loc, ok := ownZones.location(def); ok {
		return loc, nil
	}
	if loc, ok := builtZones.location(def); ok {
		return loc, nil
	}
	def = append([]byte(nil), def...)
	loc, err := buildZone(def)
	if err != nil {
		return nil, err
	}
	return builtZones.put(string(def), loc), nil
}

var errZone = errors.New("a malformed time zone")

// buildZone makes a new location from a definition.
func buildZone(def []byte) (*time.Location, error) {
	if len(def) == 0 {
		return nil, errZone
	}
	size, n := binary.Uvarint(def[1:])
	if n <= 0 || size > uint64(len(def)-1-n) {
		return nil, errZone
	}
	kind, name, rest := def[0], string(def[1+n:][:size]), def[1+n+int(size):]
	switch kind {
	case kindRules:
		return loadImage(name, rest)
	case kindFixed:
		offset, n := binary.Varint(rest)
		if n <= 0 || n != len(rest) || offset < math.MinInt || offset > math.MaxInt {
			return nil, errZone
		}
		return time.FixedZone(name, int(offset)), nil
	case kindBare:
		return bareZone(name, rest)
	case kindNamed:
		// Comparing zones is slow work that a sender could ask for again and again, so it is done only by a process
		// that cannot read zones itself; the sender is of the same build.
		if !fieldsOfLocation().known {
			return namedZone(name, rest)
		}
	}
	return nil, errZone
}

// bareZone gives a location without zones. There are two: UTC, and the zero Location.
func bareZone(name string, rest []byte) (*time.Location, error) {
	switch {
	case len(rest) != 0:
		return nil, errZone
	case name == "UTC":
		return time.UTC, nil
	case name == "":
		return new(time.Location), nil
	}
	return nil, errZone
}

func namedZone(name string, rest []byte) (*time.Location, error) {
	if len(rest) != 8 {
		return nil, errZone
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	if fingerprint(loc) != binary.BigEndian.Uint64(rest) {
		return nil, fmt.Errorf("the time zone %q has other rules here", name)
	}
	return loc, nil
}

// agree reports whether two locations give the same time of day, abbreviation and daylight flag at the instants.
func agree(a, b *time.Location, instants []int64) bool {
	for _, sec := range instants {
		at := time.Unix(sec, 0)
		x, y := at.In(a), at.In(b)
		xName, xOffset := x.Zone()
		yName, yOffset := y.Zone()
		if xName != yName || xOffset != yOffset || x.IsDST() != y.IsDST() {
			return false
		}
	}
	return a.String() == b.String()
}

const day = 24 * 60 * 60

// probes are instants that tell zones apart whose transitions are not known: every 24 days from 1800 to 2200.
func probes() []int64 {
	var instants []int64
	for sec := int64(-170 * 365 * day); sec < 230*365*day; sec += 24 * day {
		instants = append(instants, sec)
	}
	return instants
}

// fingerprint condenses what a location says at the probes.
func fingerprint(loc *time.Location) uint64 {
	h := fnv.New64a()
	for _, sec := range probes() {
		t := time.Unix(sec, 0).In(loc)
		name, offset := t.Zone()
		fmt.Fprintf(h, "%q %d %t\n", name, offset, t.IsDST())
	}
	return h.Sum64()
}
