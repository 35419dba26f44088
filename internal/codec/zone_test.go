package codec_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // so that the zones are there on every machine

	"example.com/parallel/internal/codec"
)

// sameRules compares two locations at many instants.
func sameRules(t *testing.T, want, got *time.Location) {
	t.Helper()
	at := time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	for end := time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC); at.Before(end); at = at.Add(time.Duration(random.IntN(40*24)) * time.Hour) {
		a, b := at.In(want), at.In(got)
		aName, aOffset := a.Zone()
		bName, bOffset := b.Zone()
		if aName != bName || aOffset != bOffset || a.IsDST() != b.IsDST() {
			t.Fatalf("at %v: sent %s %d dst=%t, received %s %d dst=%t", at, aName, aOffset, a.IsDST(), bName, bOffset, b.IsDST())
		}
		aStart, aEnd := a.ZoneBounds()
		bStart, bEnd := b.ZoneBounds()
		if !aStart.Equal(bStart) || !aEnd.Equal(bEnd) {
			t.Fatalf("at %v: sent a zone from %v to %v, received from %v to %v", at, aStart, aEnd, bStart, bEnd)
		}
	}
	if want.String() != got.String() {
		t.Errorf("sent %q, received %q", want, got)
	}
}

// zones gives locations of every sort, always the same.
var zones = sync.OnceValue(func() map[string]*time.Location {
	all := map[string]*time.Location{
		"UTC": time.UTC, "Local": time.Local, "zero": new(time.Location), "fixed": time.FixedZone("XYZ", -3*3600-1), "unnamed": time.FixedZone("", 7200),
		"huge offset": time.FixedZone("far", math.MaxInt32), "NUL": time.FixedZone("a\x00b", 1), "fixed UTC": time.FixedZone("UTC", 0),
	}
	for _, name := range []string{
		"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Casablanca", "Australia/Lord_Howe", "Europe/Dublin", "America/Sao_Paulo",
		"Antarctica/Troll", "Asia/Gaza", "Pacific/Apia", "Etc/GMT+5", "EST5EDT", "Africa/Monrovia",
	} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			panic(fmt.Errorf("although time/tzdata is linked in: %w", err))
		}
		all[name] = loc
	}
	if data, err := tzdata("Europe/Berlin"); err == nil {
		all["made up"] = must(time.LoadLocationFromTZData("Middle-earth/Bree", data))
	}
	return all
})

// tzdata reads a file of the system's time zone database. A location with a made-up name is left out where there is none.
func tzdata(name string) ([]byte, error) {
	for _, dir := range []string{"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return data, nil
		}
	}
	return nil, fmt.Errorf("no %s in the system's time zone database: %w", name, os.ErrNotExist)
}

func TestZones(t *testing.T) {
	for name, loc := range zones() {
		t.Run(name, func(t *testing.T) {
			rebuilt, err := codec.Rebuild(loc)
			if err != nil {
				t.Fatal(err)
			}
			sameRules(t, loc, rebuilt)
			for _, at := range []time.Time{{}, time.Now().Round(0), time.Unix(-1<<40, 1), time.Unix(1<<40, 999_999_999)} {
				got := through(t, new(codec.Types), at.In(loc))
				if at = at.In(loc); !at.Equal(got) || at.Format(time.RFC850) != got.Format(time.RFC850) {
					t.Errorf("sent %v, received %v", at, got)
				}
			}
		})
	}
}

// A location that comes back is the pointer that was sent, so even == holds for times without a monotonic reading. Of
// several locations with the same rules it is the first, hence no test may load these anew.
func TestZoneIdentity(t *testing.T) {
	for name, loc := range zones() {
		t.Run(name, func(t *testing.T) {
			at := time.Unix(1e9, 0).In(loc)
			if got := through(t, new(codec.Types), at); name != "zero" && got != at {
				t.Errorf("sent %#v, received %#v", at, got)
			}
		})
	}
}

func TestMonotonicReadingIsDropped(t *testing.T) {
	if got := through(t, new(codec.Types), time.Time{}); got != (time.Time{}) {
		t.Errorf("the zero time became %#v", got)
	}
	now := time.Now()
	if got := through(t, new(codec.Types), now); got != now.Round(0) {
		t.Errorf("sent %#v, received %#v", now, got)
	}
}

// time.Local may be replaced by a program. It stays time.Local on the other side only while both mean the same.
func TestLocalReplaced(t *testing.T) {
	old := time.Local
	defer func() { time.Local = old }()
	kathmandu, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	time.Local = kathmandu
	at := time.Unix(1e9, 0).In(time.Local)
	v := reflect.ValueOf(&at)
	b := encode(t, new(codec.Types), v)
	if got := *decode(t, new(codec.Types), v.Type().Elem(), b).Interface().(*time.Time); got.Location() != kathmandu {
		t.Errorf("received %v", got.Location())
	}
	time.Local = old
	got := *decode(t, new(codec.Types), v.Type().Elem(), b).Interface().(*time.Time)
	if got.Location() == time.Local {
		t.Error("another process's local time became this one's")
	}
	sameRules(t, kathmandu, got.Location())
}

// A location is written once per message.
func TestManyTimes(t *testing.T) {
	berlin := zones()["Europe/Berlin"]
	times := make([]time.Time, 100_000)
	for i := range times {
		switch i % 3 {
		case 0:
			times[i] = time.Unix(int64(i), 0)
		case 1:
			times[i] = time.Unix(int64(i), 0).In(berlin)
		default: // a new location each, as from time.Parse
			times[i] = time.Unix(int64(i), 0).In(time.FixedZone("CEST", 7200))
		}
	}
	b := encode(t, new(codec.Types), reflect.ValueOf(&times))
	if most := 13*len(times) + 10_000; len(b) > most {
		t.Errorf("%d times take %d bytes, more than %d", len(times), len(b), most)
	}
	got := *decode(t, new(codec.Types), reflect.TypeOf(times), b).Interface().(*[]time.Time)
	for i := range times {
		if !sameTime(times[i], got[i]) {
			t.Fatalf("time %d: sent %v, received %v", i, times[i], got[i])
		}
	}
	if got[2].Location() != got[5].Location() {
		t.Error("equal locations became two")
	}
}

// Locations that come and go must not stay in memory.
func TestZoneCachesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 50,000 locations")
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	types := new(codec.Types)
	for i := range 50_000 {
		at := time.Unix(0, 0).In(time.FixedZone(strings.Repeat("x", 1000)+fmt.Sprint(i), i))
		through1(t, types, &at)
	}
	if after := heap(); after > before+32<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
}

func through1(t *testing.T, types *codec.Types, at *time.Time) {
	t.Helper()
	v := reflect.ValueOf(at)
	if got := *decode(t, types, v.Type().Elem(), encode(t, types, v)).Interface().(*time.Time); !sameTime(*at, got) {
		t.Fatalf("sent %v, received %v", at, got)
	}
}

// A received time can be used, whatever rules its zone claims to have.
func use(at time.Time) {
	fmt.Fprint(io.Discard, at.String(), at.IsDST(), at.YearDay())
	for _, year := range []int{-1000, 1950, 2024, 2300} {
		d := time.Date(year, 7, 1, 0, 0, 0, 0, at.Location())
		start, end := d.ZoneBounds()
		fmt.Fprint(io.Discard, d, start, end)
	}
}
