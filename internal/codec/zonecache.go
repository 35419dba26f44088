package codec

import (
	"sync"
	"time"
)

// Locations are kept for the whole process, not for a Types, since programs share them. Each cache is emptied when it
// has grown to maxZones entries or maxZoneBytes of definitions: other processes choose what is in builtZones, and
// parsing times makes locations without end.
const (
	maxZones     = 1024
	maxZoneBytes = 4 << 20
)

var (
	definitions locationCache   // of locations that this process has sent
	ownZones    definitionCache // the same, the other way round
	builtZones  definitionCache // locations made from received definitions
)

// A locationCache finds the definition of a location.
type locationCache struct {
	mu    sync.RWMutex // guards all fields
	defs  map[*time.Location]string
	bytes int
}

func (c *locationCache) get(loc *time.Location) (string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	def, ok := c.defs[loc]
	return def, ok
}

func (c *locationCache) put(loc *time.Location, def string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.defs == nil || len(c.defs) >= maxZones || c.bytes+len(def) > maxZoneBytes {
		c.defs, c.bytes = make(map[*time.Location]string), 0
	}
	c.defs[loc] = def
	c.bytes += len(def)
}

// A definitionCache finds the location with a definition.
type definitionCache struct {
	mu    sync.RWMutex // guards all fields
	locs  map[string]*time.Location
	bytes int
}

func (c *definitionCache) get(def []byte) (*time.Location, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	loc, ok := c.locs[string(def)]
	return loc, ok
}

// put keeps the first location with a definition and gives it.
func (c *definitionCache) put(def string, loc *time.Location) *time.Location {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.locs[def]; ok {
		return first
	}
	if c.locs == nil || len(c.locs) >= maxZones || c.bytes+len(def) > maxZoneBytes {
		c.locs, c.bytes = make(map[string]*time.Location), 0
	}
	c.locs[def] = loc
	c.bytes += len(def)
	return loc
}
