package codec

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// The rules of zones are read from fields of time.Location that Go may rename. If this fails with a new Go, zones go
// by name, which works but needs the same time zone database on both sides: teach readZone the new fields.
func TestLocationIsKnown(t *testing.T) {
	if !fieldsOfLocation().known {
		t.Fatal("time.Location has other fields than readZone knows")
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zone database: %v", err)
	}
	def, err := define(berlin, readZone)
	if err != nil || def[0] != kindRules {
		t.Fatalf("the rules of %v were not read: %q, %v", berlin, def, err)
	}
}

// unreadable stands for a Go with another time.Location.
func unreadable(*time.Location) (*zoneRules, bool) { return nil, false }

func TestZonesWithoutReading(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Asia/Kolkata", "America/New_York"} {
		t.Run(name, func(t *testing.T) {
			loc, err := time.LoadLocation(name)
			if err != nil {
				t.Skipf("no time zone database: %v", err)
			}
			def, err := define(loc, unreadable)
			if err != nil || def[0] != kindNamed {
				t.Fatalf("got %q, %v, want a name", def, err)
			}
			_, rest, _ := strings.Cut(def, name)
			got, err := namedZone(name, []byte(rest))
			if err != nil || !agree(loc, got, probes()) {
				t.Errorf("got %v, %v", got, err)
			}
			if _, err := namedZone("UTC", []byte(rest)); err == nil {
				t.Error("a zone with other rules was accepted")
			}
		})
	}
	t.Run("fixed", func(t *testing.T) {
		def, err := define(time.FixedZone("X", 60), unreadable)
		if err != nil || def != fixedDefinition("X", 60) {
			t.Errorf("got %q, %v", def, err)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		loc := fromRules(t, &zoneRules{zones: []zone{{"A", 1, false}, {"B", 2, true}}, transitions: []transition{{0, 1}}})
		if def, err := define(loc, unreadable); err == nil {
			t.Errorf("got %q for a zone that nobody knows", def)
		}
	})
}

// A reading that does not agree with the location is not trusted.
func TestWrongReadingIsNoticed(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zone database: %v", err)
	}
	wrong := func(loc *time.Location) (*zoneRules, bool) {
		r, ok := readZone(loc)
		r.zones[len(r.zones)-1].offset++
		return r, ok
	}
	if def, err := define(berlin, wrong); err == nil {
		t.Errorf("got %.20q", def)
	}
}

func fromRules(t *testing.T, r *zoneRules) *time.Location {
	t.Helper()
	image, ok := r.image()
	if !ok {
		t.Fatal("the rules have no image")
	}
	loc, err := loadImage("Test/Zone", image)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// The image holds whatever the standard library can load: names that share their ends, zones that are never used, and
// rules without transitions.
func TestImages(t *testing.T) {
	for name, r := range map[string]*zoneRules{
		"shared names":   {zones: []zone{{"ABCD", 1, false}, {"CD", 2, true}, {"", 3, false}, {"CD", 4, false}}, transitions: []transition{{-5, 0}, {0, 1}, {5, 2}, {9, 3}}},
		"unused zone":    {zones: []zone{{"A", 1, false}, {"B", -2, true}}, transitions: []transition{{7, 1}}},
		"no transitions": {zones: []zone{{"A", 1, true}}},
		"extended":       {zones: []zone{{"A", 3600, false}}, transitions: []transition{{0, 0}}, extend: "<A>-1<B>,M3.5.0,M10.5.0/3"},
	} {
		t.Run(name, func(t *testing.T) {
			loc := fromRules(t, r)
			def, err := define(loc, readZone)
			if err != nil {
				t.Fatal(err)
			}
			got, err := buildZone([]byte(def))
			if err != nil || !agree(loc, got, append(probes(), -6, -5, -1, 0, 1, 4, 5, 6, 7, 8, 9, 10)) {
				t.Errorf("got %v, %v", got, err)
			}
			again, err := define(got, readZone)
			if err != nil || again != def {
				t.Errorf("defined again as %q, %v, want %q", again, err, def)
			}
		})
	}
	bad := map[string]*zoneRules{
		"names too long": {zones: []zone{{strings.Repeat("a", 300), 0, false}, {strings.Repeat("b", 10), 0, false}}},
		"NUL in a name":  {zones: []zone{{"a\x00b", 0, false}}},
		"rule too long":  {zones: []zone{{"a", 0, false}}, extend: strings.Repeat("x", maxExtend+1)},
		"line in a rule": {zones: []zone{{"a", 0, false}}, extend: "a\nb"},
	}
	if far := uint64(1) << 31; strconv.IntSize == 64 {
		bad["offset"] = &zoneRules{zones: []zone{{"a", int(far), false}}}
	}
	for name, r := range bad {
		t.Run(name, func(t *testing.T) {
			if image, ok := r.image(); ok {
				t.Errorf("got an image: %q", image)
			}
		})
	}
}

// Counts that lie are refused before memory is allocated for them.
func TestHostileImages(t *testing.T) {
	good, _ := (&zoneRules{zones: []zone{{"A", 1, false}}, transitions: []transition{{0, 0}}}).image()
	if _, err := loadImage("x", good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for _, change := range []byte{1, 0x7F, 0x80, 0xFF} {
			bad := append([]byte(nil), good...)
			bad[i] ^= change
			if loc, err := loadImage("x", bad); err == nil {
				_ = time.Unix(0, 0).In(loc).String()
			}
			if _, err := loadImage("x", bad[:i]); err == nil && i < tzifHeader {
				t.Errorf("the first %d bytes were accepted", i)
			}
		}
	}
	many := &zoneRules{transitions: []transition{{0, 0}}}
	for range 1000 {
		many.zones = append(many.zones, zone{strings.Repeat("a", 250), 1, false})
	}
	image, ok := many.image()
	if !ok {
		t.Fatal("the rules have no image")
	}
	if _, err := loadImage("x", image); err == nil {
		t.Error("long names were repeated a thousand times")
	}
}
