package faithful

import (
	"fmt"
	"math/rand"
	"reflect"
	"time"

	"sigs.k8s.io/randfill"
)

// fillSeed makes filled values differ from run to run. A failure prints the
// values themselves, so the seed is not needed to understand it.
var fillSeed = time.Now().UnixNano()

// fill makes n values of a type whose exported fields are random, with nil and empty
// pointers, slices and maps among them. custom are functions for types that need
// their own, as randfill describes them.
func fill(rt reflect.Type, n int, custom []any) (values []any) {
	fillSeed++
	f := randfill.New().RandSource(rand.NewSource(fillSeed)).NilChance(0.3).NumElements(0, 3).MaxDepth(7).
		Funcs(fillAny, fillTime).Funcs(custom...)
	for range n {
		v := reflect.New(rt)
		f.Fill(v.Interface())
		values = append(values, v.Elem().Interface())
	}
	return values
}

// fillAny fills an interface with what needs no registration.
func fillAny(v *any, c randfill.Continue) {
	*v = []any{nil, c.Int(), c.String(10), c.Float64(), c.Bool(), []string{c.String(5)}, map[string]any{"k": c.Int()}}[c.Intn(7)]
}

// fillTime fills a time with one in some location, of a year that has a text form.
func fillTime(v *time.Time, c randfill.Continue) {
	*v = time.Unix(c.Int63n(4e9), c.Int63n(1e9)).In([]*time.Location{
		time.UTC, time.Local, berlin, time.FixedZone(fmt.Sprint("Z", c.Intn(9)), 60*c.Intn(720)),
	}[c.Intn(4)])
}

var berlin = func() *time.Location {
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return l
}()
