package codec

import (
	"fmt"
	"testing"
	"time"
)

// The cache finds the same location each time and stops growing, while loading goes on.
func TestLocationCacheIsBounded(t *testing.T) {
	var c locationCache
	first, err := c.load([]byte("Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxLocations {
		name := fmt.Sprint("alias ", i)
		if loc := time.FixedZone(name, i); c.put(name, loc) != loc {
			t.Fatalf("%s became another location", name)
		}
	}
	if again := time.FixedZone("alias 1", 1); c.put("alias 1", again) == again {
		t.Error("a location that is in the cache was replaced")
	}
	if n := len(*c.byName.Load()); n != maxLocations {
		t.Errorf("%d locations are in the cache, want %d", n, maxLocations)
	}
	if loc, err := c.load([]byte("Europe/Berlin")); err != nil || loc != first {
		t.Errorf("Europe/Berlin became %v, %v", loc, err)
	}
	if loc, err := c.load([]byte("Asia/Tokyo")); err != nil || loc.String() != "Asia/Tokyo" {
		t.Errorf("with a full cache: %v, %v", loc, err)
	}
}

// What is not found is not remembered, and "Local" is what time.Local is at the moment.
func TestLocationCacheKeepsNamesOnly(t *testing.T) {
	var c locationCache
	for i := range 100 {
		if loc, err := c.load(fmt.Append(nil, "Middle-earth/", i)); err == nil {
			t.Fatalf("found %v", loc)
		}
	}
	if loc, err := c.load([]byte("Local")); err != nil || loc != time.Local {
		t.Errorf("Local is %v, %v", loc, err)
	}
	if c.byName.Load() != nil {
		t.Errorf("the cache holds %v", *c.byName.Load())
	}
}
