package faithful

import (
	"math"
	"time"

	toml1 "github.com/BurntSushi/toml"
	"github.com/Masterminds/semver/v3"
	"github.com/RoaringBitmap/roaring/v2"
	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/bits-and-blooms/bitset"
	"github.com/bits-and-blooms/bloom/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-version"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/text/currency"
	"golang.org/x/text/language"
)

// Versions, languages and settings.

func init() {
	m := newModule("github.com/Masterminds/semver/v3")
	registerSemver()
	versions := each([]string{"1.2.3", "v1.2", "1.0.0-alpha.1+build.5", "0.0.0", "v3"}, semver.MustParse)
	check(m, versions...).calls("Original", func(v *semver.Version) any { return v.Original() }).
		calls("IncPatch", func(v *semver.Version) any { return v.IncPatch().String() })
	check(m, each(versions, func(v *semver.Version) semver.Version { return *v })...)
	check(m, must(semver.NewConstraint(">= 1.2, < 3 || ~4.1")), must(semver.NewConstraint("*"))).
		calls("Check", func(v *semver.Constraints) any { return v.Check(versions[0]) })
}

func init() {
	m := newModule("github.com/hashicorp/go-version")
	registerConstraint()
	versions := each([]string{"1.2.3", "v1.0-beta1+meta", "1.2.3.4.5", "0"},
		func(s string) *version.Version { return version.Must(version.NewVersion(s)) })
	// The text form of this type does not keep what Original gives. Equal does not look at it.
	check(m, versions...).equalBy(sameVersion).calls("Segments", func(v *version.Version) any { return v.Segments() })
	check(m, version.Collection{}, version.Collection(versions)).with(cmp.Comparer(sameVersion)).differentInside()
	check(m, version.MustConstraints(version.NewConstraint(">= 1.0, < 2.0, != 1.5")), version.Constraints{}).
		calls("Check", func(v version.Constraints) any { return v.Check(versions[0]) }).differentInside().
		with(cmp.Comparer(sameConstraint))
}

func init() {
	m := newModule("golang.org/x/text")
	registerLanguageParts()
	check(m, each([]string{"en", "de-CH-1996", "zh-Hant-TW", "sr-Latn", "en-u-co-phonebk", "x-private", "und"},
		language.MustParse)...).
		calls("Base", func(v language.Tag) any {
			b, confidence := v.Base()
			return []string{b.String(), confidence.String()}
		})
	check(m, language.MustParseBase("de"), language.MustParseBase("und"))
	check(m, language.MustParseScript("Hant")).differentInside()
	check(m, language.MustParseRegion("AT"), language.MustParseRegion("419"))
	check(m, currency.EUR, currency.MustParseISO("JPY")).calls("Rounding", func(v currency.Unit) any {
		scale, increment := currency.Cash.Rounding(v)
		return []int{scale, increment}
	})
	check(m, language.High, language.Exact)
}

func init() {
	m := newModule("github.com/pelletier/go-toml/v2")
	day := toml.LocalDate{Year: 2024, Month: 2, Day: 29}
	noon := toml.LocalTime{Hour: 12, Nanosecond: 1000, Precision: 6}
	check(m, day, toml.LocalDate{Year: -1, Month: 99}).
		calls("AsTime", func(v toml.LocalDate) any { return v.AsTime(time.UTC) }).filled(3)
	check(m, noon, toml.LocalTime{Second: 61, Precision: -1}).filled(3)
	check(m, toml.LocalDateTime{LocalDate: day, LocalTime: noon}).filled(3)
}

func init() {
	m := newModule("github.com/BurntSushi/toml")
	check(m, toml1.Key{}, toml1.Key{"a", "b c", ""})
	check(m, toml1.Position{Line: 1, Start: 2, Len: 3}).filled(3)
}

func init() {
	m := newModule("golang.org/x/mod")
	check(m, module.Version{Path: "example.com/m", Version: "v1.2.3"}).filled(3)
	check(m, modfile.Require{Mod: module.Version{Path: "p"}, Indirect: true})
	check(m, modfile.VersionInterval{Low: "v1.0.0", High: "v1.1.0"}).filled(3)
}

var (
	sameVersion    = pointers((*version.Version).Equal)
	sameConstraint = pointers((*version.Constraint).Equals)
)

// Sets of numbers.

func init() {
	m := newModule("github.com/RoaringBitmap/roaring/v2")
	dense := roaring.New()
	dense.AddRange(10, 100_000)
	check(m, roaring.BitmapOf(), roaring.BitmapOf(1, 2, math.MaxUint32), dense).
		equalBy(pointers(func(a, b *roaring.Bitmap) bool { return a.Equals(b) })).
		calls("GetCardinality", func(v *roaring.Bitmap) any { return v.GetCardinality() })
	check(m, *roaring.BitmapOf(7), *dense).equalBy(func(a, b roaring.Bitmap) bool { return a.Equals(&b) })
	check(m, roaring64.BitmapOf(), roaring64.BitmapOf(1, math.MaxUint64)).
		equalBy(pointers(func(a, b *roaring64.Bitmap) bool { return a.Equals(b) }))
}

func init() {
	m := newModule("github.com/bits-and-blooms/bitset")
	check(m, bitset.New(0), bitset.New(70).Set(69), bitset.From([]uint64{0, 1})).differentInside().
		calls("Count", func(v *bitset.BitSet) any { return v.Count() })
	check(m, *bitset.New(3).Set(1))
}

func init() {
	m := newModule("github.com/bits-and-blooms/bloom/v3")
	check(m, bloom.New(1000, 4).AddString("x"), bloom.NewWithEstimates(10, 0.01)).
		equalBy(pointers((*bloom.BloomFilter).Equal)).
		calls("TestString", func(v *bloom.BloomFilter) any { return v.TestString("x") })
}
