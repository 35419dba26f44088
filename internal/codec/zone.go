package codec

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A location crosses by its name, with the abbreviation and the offset that it gives at the instant. Each process finds
// the location in its own way:
//
//	local   time.Local, if it gives the same at the instant; otherwise as one of the others
//	fixed   time.FixedZone gives it: its abbreviation is its name, at all times
//	named   time.LoadLocation gives it
//
// What the receiver finds must give the same abbreviation and offset at each instant that comes with it. So a time does
// not change unnoticed if the processes differ in TZ or in their time zone databases.

// A zone is a location during a period in which it gives one abbreviation and one offset.
type zone struct {
	loc          *time.Location
	abbreviation string
	offset       int   // seconds east of UTC
	from, until  int64 // seconds since 1970; equal as long as the period is not known
	kind         byte  // zoneFixed or zoneNamed, with zoneLocal or without; for the encoder only
}

const startOfTime, endOfTime = math.MinInt64, math.MaxInt64

// set makes z the zone of a time, without a period and a kind.
func (z *zone) set(t time.Time) {
	z.loc = t.Location()
	z.abbreviation, z.offset = t.Zone()
}

// bound sets the period to that of a time.
func (z *zone) bound(t time.Time) {
	z.from, z.until = startOfTime, endOfTime
	start, end := t.ZoneBounds()
	if start != (time.Time{}) {
		z.from = start.Unix()
	}
	if end != (time.Time{}) {
		z.until = end.Unix()
	}
}

func (z *zone) covers(sec int64) bool { return z.from <= sec && sec < z.until }

func (z *zone) says(abbreviation string, offset int) bool {
	return z.offset == offset && z.abbreviation == abbreviation
}

// holds reports whether a time in z's location has z's abbreviation and offset. The first such time gives z its period,
// which costs too much for a message with only one time.
func (z *zone) holds(t time.Time) bool {
	if z.covers(t.Unix()) {
		return true
	}
	if !z.says(t.Zone()) {
		return false
	}
	if z.from == z.until {
		z.bound(t)
	}
	return true
}

// describe makes z the zone of a time that is not in UTC, with its kind. The error says that another process could not
// find the location.
func (z *zone) describe(t time.Time) error {
	z.set(t)
	z.kind = zoneNamed
	name := z.loc.String()
	if z.abbreviation == name {
		if z.bound(t); z.from == startOfTime && z.until == endOfTime && !t.IsDST() {
			z.kind = zoneFixed
		}
	}
	if z.loc == time.Local {
		z.kind |= zoneLocal
	}
	if z.kind != zoneNamed {
		return nil
	}
	loc, err := locations.load([]byte(name))
	if err == nil && !z.says(t.In(loc).Zone()) {
		err = fmt.Errorf("there it is %s", inWords(t.In(loc)))
	}
	if err != nil {
		return &ValueError{Reason: fmt.Sprintf("the location %.99q of the time %s is neither UTC, Local, a fixed zone nor in "+
			"the time zone database (%v): send t.UTC(), or use a location from time.LoadLocation", name, inWords(t), err)}
	}
	return nil
}

// locate makes z the zone that another process has described, which must be the same here.
func (z *zone) locate(at time.Time, kind byte, name, abbreviation []byte, offset int) error {
	if kind&zoneLocal != 0 {
		if z.set(at.In(time.Local)); z.offset == offset && z.abbreviation == string(abbreviation) {
			return nil
		}
	}
	if kind&zoneFixed != 0 {
		z.loc = fixedZone(name, offset)
		z.abbreviation, z.offset = z.loc.String(), offset
		return nil
	}
	loc, err := locations.load(name)
	if err != nil {
		return &ValueError{Reason: fmt.Sprintf("the location %.99q of a time is not in this process's time zone database "+
			"(%v): send t.UTC(), or import time/tzdata", name, err)}
	}
	if z.set(at.In(loc)); z.offset != offset || z.abbreviation != string(abbreviation) {
		return otherTime(at.In(loc), string(name), string(abbreviation), offset)
	}
	return nil
}

// otherTime says that a time is not here what it was in the process that sent it.
func otherTime(here time.Time, name, abbreviation string, offset int) error {
	there := here.In(time.FixedZone(abbreviation, offset))
	return &ValueError{Reason: fmt.Sprintf("the time %s would become %s, since the location %.99q is another one in this process: "+
		"send t.UTC(), or give both processes the same TZ and time zone database", inWords(there), inWords(here), name)}
}

func inWords(t time.Time) string {
	abbreviation, _ := t.Zone()
	return fmt.Sprintf("%s %.99s", t.Format("2006-01-02 15:04:05 -07:00:00"), abbreviation)
}

// maxZones is how many zones a message remembers. A further one takes the place of the oldest.
const maxZones = 64

// A zoneTable holds the zones that a message has defined last. Encoder and decoder fill theirs alike.
type zoneTable struct {
	zones   [maxZones]zone
	defined int
}

func (t *zoneTable) len() int { return min(t.defined, maxZones) }

func (t *zoneTable) add(z *zone) {
	t.zones[t.defined%maxZones] = *z
	t.defined++
}

// find gives the place of a zone with z's definition, which can stand for z at a time, or -1. Each period of one location
// has a place of its own, until the table is full: most times then need only be compared with the bounds of one.
func (t *zoneTable) find(z *zone, at time.Time) int {
	for i := range t.len() {
		known := &t.zones[i]
		if known.kind != z.kind || !known.says(z.abbreviation, z.offset) || known.loc.String() != z.loc.String() {
			continue
		}
		if known.loc == z.loc && known.from == known.until {
			known.bound(at)
		} else if known.loc == z.loc && t.defined < maxZones {
			continue
		}
		return i
	}
	return -1
}

func (t *zoneTable) reset() {
	clear(t.zones[:t.len()])
	t.defined = 0
}

// lastFixed is the fixed zone that was made last. Most programs use one.
var lastFixed atomic.Pointer[zone]

// fixedZone is time.FixedZone, but gives the same location as last time if it can.
func fixedZone(name []byte, offset int) *time.Location {
	if last := lastFixed.Load(); last != nil && last.offset == offset && last.abbreviation == string(name) {
		return last.loc
	}
	loc := time.FixedZone(string(name), offset)
	if len(name) <= maxName {
		lastFixed.Store(&zone{loc: loc, abbreviation: loc.String(), offset: offset})
	}
	return loc
}

// locations holds what time.LoadLocation has given, since that reads files.
var locations locationCache

type locationCache struct {
	mu     sync.Mutex // held while byName is replaced
	byName atomic.Pointer[map[string]*time.Location]
}

// The time zone database has fewer names than maxLocations, and none is as long as maxName, in bytes. A hostile process
// that knows other ways to write them, as on a file system that ignores case, can fill the cache. Names that come later
// are then loaded each time.
const (
	maxLocations = 2048
	maxName      = 255
)

// load is time.LoadLocation for "Local" and the names in the time zone database. It takes bytes so that a name in a
// message is found without a copy.
func (c *locationCache) load(name []byte) (*time.Location, error) {
	if known := c.byName.Load(); known != nil {
		if loc := (*known)[string(name)]; loc != nil {
			return loc, nil
		}
	}
	// LoadLocation never leaves the database, but also accepts "", which means UTC, and "Europe/./Berlin".
	if len(name) > maxName || !fs.ValidPath(string(name)) {
		return nil, errors.New("it has no such name")
	}
	loc, err := time.LoadLocation(string(name))
	if err != nil || loc == time.Local { // which a program may replace
		return loc, err
	}
	return c.put(string(name), loc), nil
}

// put keeps the first location with a name and gives it.
func (c *locationCache) put(name string, loc *time.Location) *time.Location {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]*time.Location)
	if known := c.byName.Load(); known != nil {
		maps.Copy(all, *known)
	}
	if first := all[name]; first != nil {
		return first
	}
	if len(all) < maxLocations {
		all[name] = loc
		c.byName.Store(&all)
	}
	return loc
}
