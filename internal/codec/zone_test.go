package codec_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
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

// zones gives locations of every sort that can cross, always the same. Some fixed zones have names of the time zone
// database, and some zones of the database look like fixed ones for a part of the year or always.
var zones = sync.OnceValue(func() map[string]*time.Location {
	all := map[string]*time.Location{
		"UTC": time.UTC, "Local": time.Local, "fixed": time.FixedZone("XYZ", -3*3600-1), "unnamed": time.FixedZone("", 7200),
		"unnamed odd": time.FixedZone("", 19800), "huge offset": time.FixedZone("far", math.MaxInt32), "NUL": time.FixedZone("a\x00b", 1),
		"fixed UTC": time.FixedZone("UTC", 0), "wrong UTC": time.FixedZone("UTC", 3600), "fixed CET": time.FixedZone("CET", 3600),
		"wrong CET": time.FixedZone("CET", 7200), "fixed Berlin": time.FixedZone("Europe/Berlin", 7200),
		"fixed Local": time.FixedZone("Local", 3600), "long": time.FixedZone(strings.Repeat("long", 1000), 60),
	}
	for _, name := range []string{
		"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Casablanca", "Australia/Lord_Howe", "Europe/Dublin", "America/Sao_Paulo",
		"Antarctica/Troll", "Asia/Gaza", "Pacific/Apia", "Etc/GMT+5", "EST5EDT", "Africa/Monrovia", "CET", "GMT", "Etc/UTC",
	} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			panic(fmt.Errorf("although time/tzdata is linked in: %w", err))
		}
		all[name] = loc
	}
	return all
})

// instants are the ends of what a time.Time can hold, and some between them.
func instants() []time.Time {
	return []time.Time{
		{}, time.Now().Round(0), time.Unix(0, 0), time.Unix(1.7e9, 1), time.Unix(1.72e9, 999_999_999), time.Unix(-1<<40, 1),
		time.Unix(1<<40, 999_999_999), time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64, 999_999_999), time.Date(-400, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(12345, 6, 7, 0, 0, 0, 0, time.UTC),
	}
}

func TestZones(t *testing.T) {
	types := new(codec.Types)
	for name, loc := range zones() {
		t.Run(name, func(t *testing.T) {
			for _, at := range instants() {
				at = at.In(loc)
				got := through(t, types, at)
				if !sameTime(at, got) || at.IsDST() != got.IsDST() || at.Format(time.RFC850) != got.Format(time.RFC850) {
					t.Errorf("sent %v, received %v", at, got)
				}
				if at.Unix() != got.Unix() || at.Nanosecond() != got.Nanosecond() {
					t.Errorf("sent %d s %d ns, received %d s %d ns", at.Unix(), at.Nanosecond(), got.Unix(), got.Nanosecond())
				}
			}
			sameRules(t, loc, through(t, types, time.Unix(1.7e9, 0).In(loc)).Location())
		})
	}
}

// Times in UTC and in Local are the same bits on arrival, so that reflect.DeepEqual and == hold for them, and times in
// fixed zones are the same memory. Times in a zone of the database share one location, however many messages they come in.
func TestZoneIdentity(t *testing.T) {
	types := new(codec.Types)
	for _, loc := range []*time.Location{time.UTC, time.Local} {
		at := time.Unix(1e9, 0).In(loc)
		if got := through(t, types, at); got != at || !reflect.DeepEqual(got, at) {
			t.Errorf("sent %#v, received %#v", at, got)
		}
	}
	if got := through(t, types, time.Time{}); got != (time.Time{}) {
		t.Errorf("the zero time became %#v", got)
	}
	if at := time.Unix(1e9, 0).In(zones()["fixed"]); !reflect.DeepEqual(through(t, types, at), at) {
		t.Errorf("sent %#v, received %#v", at, through(t, types, at))
	}
	winter, summer := time.Unix(1.7e9, 0).In(zones()["Europe/Berlin"]), time.Unix(1.72e9, 0).In(zones()["Europe/Berlin"])
	if a, b := through(t, types, winter).Location(), through(t, types, summer).Location(); a != b {
		t.Error("one location became two")
	}
}

func TestMonotonicReadingIsDropped(t *testing.T) {
	now := time.Now()
	if got := through(t, new(codec.Types), now); got != now.Round(0) {
		t.Errorf("sent %#v, received %#v", now, got)
	}
}

// tzdata reads a file of the system's time zone database, or skips the test.
func tzdata(t *testing.T, name string) []byte {
	t.Helper()
	for _, dir := range []string{"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return data
		}
	}
	t.Skipf("no %s in the system's time zone database", name)
	return nil
}

// What cannot be found by its name is an error where the time is encoded, in words that say which location it is and
// what to do.
func TestLocationsThatCannotCross(t *testing.T) {
	york := tzdata(t, "America/New_York")
	for name, c := range map[string]struct {
		loc  *time.Location
		want []string
	}{
		"made up":         {must(time.LoadLocationFromTZData("Middle-earth/Bree", york)), []string{`"Middle-earth/Bree"`, "2023-11-14 17:13:20 -05:00:00 EST"}},
		"other rules":     {must(time.LoadLocationFromTZData("Europe/Berlin", york)), []string{`"Europe/Berlin"`, "-05:00:00 EST", "there it is 2023-11-14 23:13:20 +01:00:00 CET"}},
		"named as a file": {must(time.LoadLocationFromTZData("../zoneinfo/America/New_York", york)), []string{"it has no such name"}},
		"without a name":  {must(time.LoadLocationFromTZData("", york)), []string{`""`, "it has no such name"}},
		"zero":            {new(time.Location), []string{`""`}},
	} {
		t.Run(name, func(t *testing.T) {
			v := struct{ Days []time.Time }{[]time.Time{time.Unix(1.7e9, 0).In(c.loc)}}
			plan := must(new(codec.Types).Plan(reflect.TypeOf(v)))
			_, err := plan.Append(nil, reflect.ValueOf(&v).UnsafePointer(), noLimit)
			var refused *codec.ValueError
			if !errors.As(err, &refused) || !strings.HasSuffix(refused.Path, ".Days[]") {
				t.Fatalf("got %v, want a *ValueError for .Days[]", err)
			}
			for _, want := range append(c.want, "send t.UTC()", "time.LoadLocation") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// definition is the encoding of a time in a zone that is given by its parts.
func definition(sec int64, kind byte, name, abbreviation string, offset int64) []byte {
	b := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint64(nil, uint64(sec)), 0)
	b = binary.AppendVarint(append(b, kind), offset)
	b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
	if kind&codec.ZoneNamed != 0 {
		b = append(binary.AppendUvarint(b, uint64(len(abbreviation))), abbreviation...)
	}
	return b
}

// A time whose location is not here what it was in the process that sent it is an error, not another time.
func TestOtherZoneOnArrival(t *testing.T) {
	const winter, summer = 1.7e9, 1.72e9
	berlin := definition(winter, codec.ZoneNamed, "Europe/Berlin", "CET", 3600)
	again := func(sec int64) []byte {
		return append(binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint64(nil, uint64(sec)), 0), codec.FirstKnownZone)
	}
	one := func(kind byte, name, abbreviation string, offset int64) []byte {
		return slicesConcat([]byte{1 + 1}, definition(winter, kind, name, abbreviation, offset))
	}
	for name, c := range map[string]struct {
		b    []byte // a slice of times
		want string
	}{
		"offset":         {one(codec.ZoneNamed, "Europe/Berlin", "CET", 0), `would become 2023-11-14 23:13:20 +01:00:00 CET, since the location "Europe/Berlin"`},
		"abbreviation":   {one(codec.ZoneNamed, "Europe/Berlin", "MEZ", 3600), "the time 2023-11-14 23:13:20 +01:00:00 MEZ would become"},
		"later instant":  {slicesConcat([]byte{3 + 1}, berlin, again(winter), again(summer)), "the time 2024-07-03 10:46:40 +01:00:00 CET would become"},
		"Local":          {one(codec.ZoneNamed|codec.ZoneLocal, "Local", "XYZ", 1), "the same TZ"},
		"unknown Local":  {one(codec.ZoneNamed|codec.ZoneLocal, "/etc/zone", "XYZ", 1), `"/etc/zone"`},
		"unknown":        {one(codec.ZoneNamed, "Middle-earth/Bree", "XYZ", 1), "unknown time zone Middle-earth/Bree"},
		"no name":        {one(codec.ZoneNamed, "", "UTC", 0), "no such name"},
		"absolute path":  {one(codec.ZoneNamed, "/usr/share/zoneinfo/UTC", "UTC", 0), "no such name"},
		"path out":       {one(codec.ZoneNamed, "../zoneinfo/UTC", "UTC", 0), "no such name"},
		"detour":         {one(codec.ZoneNamed, "Europe/../Etc/UTC", "UTC", 0), "no such name"},
		"same directory": {one(codec.ZoneNamed, "./Etc/UTC", "UTC", 0), "no such name"},
		"two slashes":    {one(codec.ZoneNamed, "Etc//UTC", "UTC", 0), "no such name"},
		"NUL":            {one(codec.ZoneNamed, "Etc/UTC\x00", "UTC", 0), "time zone database"},
		"directory":      {one(codec.ZoneNamed, "Etc", "UTC", 0), "time zone database"},
		"long name":      {one(codec.ZoneNamed, strings.Repeat("x", 1<<20), "UTC", 0), "no such name"},
		"long others":    {one(codec.ZoneNamed, "Europe/Berlin", strings.Repeat("x", 1<<20), 0), "would become"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []time.Time
			err := must(new(codec.Types).Plan(reflect.TypeOf(got))).Decode(c.b, reflect.ValueOf(&got).UnsafePointer())
			var refused *codec.ValueError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "send t.UTC()") {
				t.Fatalf("got %T: %.1000v, want a *ValueError that says %q", err, err, c.want)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// A location with the name of another one must not pass for it, whichever of the two a message has first.
func TestNamesakes(t *testing.T) {
	berlin := zones()["Europe/Berlin"]
	namesake := must(time.LoadLocationFromTZData("Europe/Berlin", tzdata(t, "Africa/Algiers"))) // CET in summer too
	winter, summer := time.Unix(1.7e9, 0), time.Unix(1.72e9, 0)
	for _, times := range [][]time.Time{
		{summer.In(namesake)},
		{winter.In(namesake), summer.In(namesake)},
		{winter.In(berlin), winter.In(namesake), summer.In(namesake)},
		{winter.In(namesake), winter.In(berlin), summer.In(namesake)},
		{winter.In(namesake), winter.In(berlin), winter.In(berlin), winter.In(namesake), summer.In(namesake)},
		{summer.In(berlin), summer.In(namesake)},
	} {
		plan := must(new(codec.Types).Plan(reflect.TypeOf(times)))
		b, err := plan.Append(nil, reflect.ValueOf(&times).UnsafePointer(), noLimit)
		if err == nil {
			var got []time.Time
			err = plan.Decode(b, reflect.ValueOf(&got).UnsafePointer())
		}
		if err == nil || !strings.Contains(err.Error(), "2024-07-03 10:46:40 +01:00:00 CET") {
			t.Errorf("%v: got %v, want an error for the last", times, err)
		}
		times = times[:len(times)-1]
		if got := through(t, new(codec.Types), times); len(times) > 0 && !slices.EqualFunc(times, got, sameTime) {
			t.Errorf("sent %v, received %v", times, got)
		}
	}
}

// time.Local crosses as time.Local if both processes' give the same. If they differ, by TZ or since a program replaced
// it, what the sender's was is found by its name, or the time is an error.
func TestLocalReplaced(t *testing.T) {
	old := time.Local
	defer func() { time.Local = old }()
	kathmandu := must(time.LoadLocation("Asia/Kathmandu"))
	etc := must(time.LoadLocationFromTZData("Local", tzdata(t, "Asia/Kathmandu"))) // as from /etc/localtime
	fixed := func(offset int) *time.Location { return time.FixedZone("Asia/Tokyo", offset) }
	for name, c := range map[string]struct {
		sender, receiver *time.Location // the values of time.Local
		want             *time.Location // nil: the receiver's; UTC: an error
	}{
		"same":                   {kathmandu, kathmandu, nil},
		"same fixed":             {fixed(9 * 3600), fixed(9 * 3600), nil},
		"same by another name":   {etc, kathmandu, nil},
		"same by another name 2": {kathmandu, etc, nil},
		"other":                  {kathmandu, fixed(60), kathmandu},
		"other fixed":            {fixed(9 * 3600), kathmandu, fixed(9 * 3600)},
		"nowhere to be found":    {etc, fixed(60), time.UTC},
	} {
		t.Run(name, func(t *testing.T) {
			time.Local = c.sender
			at := time.Unix(1e9, 0).In(time.Local)
			b := encode(t, new(codec.Types), reflect.ValueOf(&at))
			time.Local = c.receiver
			var got time.Time
			err := must(new(codec.Types).Plan(reflect.TypeOf(got))).Decode(b, reflect.ValueOf(&got).UnsafePointer())
			if c.want == time.UTC {
				if err == nil || !strings.Contains(err.Error(), `since the location "Local"`) {
					t.Fatalf("got %v, %v, want an error", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			aName, aOffset := at.Zone()
			if gotName, gotOffset := got.Zone(); !at.Equal(got) || aName != gotName || aOffset != gotOffset {
				t.Errorf("sent %v, received %v", at, got)
			}
			if c.want == nil && got.Location() != time.Local {
				t.Errorf("received in %v, want time.Local", got.Location())
			}
			if c.want != nil && (got.Location() == time.Local || got.Location().String() != c.want.String()) {
				t.Errorf("received in %v, want %v", got.Location(), c.want)
			}
		})
	}
}

// A zone is written once per message.
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
	got := manyTimes(t, times, 1000)
	if got[2].Location() != got[5].Location() {
		t.Error("equal locations became two")
	}
}

// manyTimes sends times that are to take no more than 13 bytes each, besides their zones.
func manyTimes(t *testing.T, times []time.Time, most int) []time.Time {
	t.Helper()
	b := encode(t, new(codec.Types), reflect.ValueOf(&times))
	if size := len(b) - 13*len(times); size > most {
		t.Errorf("the zones take %d bytes, more than %d", size, most)
	}
	got := *decode(t, new(codec.Types), reflect.TypeOf(times), b).Interface().(*[]time.Time)
	for i := range times {
		if !sameTime(times[i], got[i]) {
			t.Fatalf("time %d: sent %v, received %v", i, times[i], got[i])
		}
	}
	return got
}

// A message may have more zones than it remembers, and a zone more periods.
func TestManyZones(t *testing.T) {
	const n = 10_000
	random := rand.New(rand.NewPCG(3, 4))
	offsets := make([]*time.Location, 1000)
	for i := range offsets {
		offsets[i] = time.FixedZone(fmt.Sprint("zone ", i), i*60)
	}
	several := []*time.Location{time.UTC, time.Local, zones()["Europe/Berlin"], zones()["America/New_York"], zones()["fixed"]}
	var one, few, many []time.Time
	for range n {
		at := time.Unix(random.Int64N(2*4e9)-4e9, 0)
		one = append(one, at.In(zones()["Europe/Berlin"]))
		few = append(few, at.In(several[random.IntN(len(several))]))
		many = append(many, at.In(offsets[random.IntN(len(offsets))]))
	}
	manyTimes(t, one, 64*30)
	manyTimes(t, few, 64*30)
	manyTimes(t, many, n*20)
}

// Fixed zones that come and go must not stay in memory.
func TestFixedZonesAreNotKept(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 50,000 locations")
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	types := new(codec.Types)
	through(t, types, time.Now())
	before := heap()
	for i := range 50_000 {
		at := time.Unix(0, 0).In(time.FixedZone(strings.Repeat("x", 1000)+fmt.Sprint(i), i))
		if got := through(t, types, at); !sameTime(at, got) {
			t.Fatalf("sent %v, received %v", at, got)
		}
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
}

// A received time can be used, whatever offset its zone claims to have.
func use(at time.Time) {
	fmt.Fprint(io.Discard, at.String(), at.IsDST(), at.YearDay())
	for _, year := range []int{-1000, 1950, 2024, 2300} {
		d := time.Date(year, 7, 1, 0, 0, 0, 0, at.Location())
		start, end := d.ZoneBounds()
		fmt.Fprint(io.Discard, d, start, end)
	}
}
