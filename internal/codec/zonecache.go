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
	ownZones   ownCache   // locations that this process has sent
	builtZones builtCache // locations made from received definitions
)

// An ownCache finds the definition of a location and the reverse. Both maps are emptied together, so that a location
// which is found one way is found the other way too.
type ownCache struct {
	mu    sync.RWMutex // guards all fields
	defs  map[*time.Location]string
	locs  map[string]*time.Location // the first with each definition, but not time.Local, which travels under that name
	bytes int
}

func (c *ownCache) definition(loc *time.Location) (string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	def, ok := c.defs[loc]
	return def, ok
}

func (c *ownCache) location(def []byte) (*time.Location, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	loc, ok := c.locs[string(def)]
	return loc, ok
}

func (c *ownCache) put(loc *time.Location, def string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.defs == nil || len(c.defs) >= maxZones || c.bytes+len(def) > maxZoneBytes {
		c.defs, c.locs, c.bytes = make(map[*time.Location]string), make(map[string]*time.Location), 0
	}
	c.defs[loc] = def
	c.bytes += len(def)
	if _, ok := c.locs[def]; !ok && loc != time.Local {
		c.locs[def] = loc
	}
}

// A builtCache finds the location made from a definition.
type builtCache struct {
	mu    sync.RWMutex // guards all fields
	locs  map[string]*time.Location
	bytes int
}

func (c *builtCache) location(def []byte) (*time.Location, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	loc, ok := c.locs[string(def)]
	return loc, ok
}

// put keeps the first location with a definition and gives it.
func (c *builtCache) put(def string, loc *time.Location) *time.Location {
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
