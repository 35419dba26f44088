package faithful

import (
	"database/sql"
	"math"
	"math/big"
	"net/netip"
	"time"

	"cloud.google.com/go/civil"
	"github.com/guregu/null/v6"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"gorm.io/gorm"
)

// What databases give and take.

// instants are times in all kinds of locations, with and without a fraction.
var instants = []time.Time{
	time.Unix(0, 0).UTC(),
	time.Date(2024, 10, 27, 2, 30, 0, 1, berlin),
	time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.FixedZone("", -3*3600-1800)),
	time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("X", 60)),
	time.Date(-44, 3, 15, 12, 0, 0, 0, time.UTC),
	time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2024, 7, 1, 12, 0, 0, 0, time.Local),
}

// each makes a value of each of some others.
func each[A, B any](values []A, f func(A) B) (made []B) {
	for _, v := range values {
		made = append(made, f(v))
	}
	return made
}

func init() {
	m := newModule("github.com/jackc/pgx/v5")
	check(m, pgtype.Text{Valid: true}, pgtype.Text{String: "x\x00\xff", Valid: true}, pgtype.Text{String: "kept"}).
		filled(5)
	check(m, pgtype.Bool{Valid: true}, pgtype.Bool{Bool: true, Valid: true}, pgtype.Bool{Bool: true})
	check(m, pgtype.Int2{Valid: true}, pgtype.Int2{Int16: -1, Valid: true}).filled(3)
	check(m, pgtype.Int4{Valid: true}, pgtype.Int4{Int32: math.MinInt32, Valid: true}).filled(3)
	check(m, pgtype.Int8{Valid: true}, pgtype.Int8{Int64: math.MaxInt64}).filled(3)
	check(m, pgtype.Float8{Valid: true}, pgtype.Float8{Float64: math.NaN(), Valid: true},
		pgtype.Float8{Float64: math.Inf(1), Valid: true})
	check(m, pgtype.UUID{Valid: true}, pgtype.UUID{Bytes: [16]byte{15: 1}, Valid: true}).filled(3)
	check(m, pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}, pgtype.Date{Time: instants[2], Valid: true}).
		filled(5)
	check(m, append(each(instants, func(v time.Time) pgtype.Timestamp { return pgtype.Timestamp{Time: v, Valid: true} }),
		pgtype.Timestamp{InfinityModifier: pgtype.NegativeInfinity, Valid: true})...).filled(5)
	check(m, each(instants, func(v time.Time) pgtype.Timestamptz {
		return pgtype.Timestamptz{Time: v,
			Valid: true}
	})...).filled(5)
	check(m, pgtype.Time{Microseconds: 86_399_999_999, Valid: true}).filled(3)
	check(m, pgtype.Interval{Months: -1, Days: 2, Microseconds: 3, Valid: true}).filled(3)
	check(m, pgtype.Numeric{Valid: true}, pgtype.Numeric{NaN: true, Valid: true},
		pgtype.Numeric{Int: big.NewInt(0), Valid: true}, pgtype.Numeric{Int: huge, Exp: -17, Valid: true},
		pgtype.Numeric{InfinityModifier: pgtype.Infinity, Valid: true}).differentInside()
	check(m, pgtype.Bits{Bytes: []byte{}, Valid: true}, pgtype.Bits{Bytes: []byte{0xa0}, Len: 3, Valid: true}).filled(3)
	check(m, pgtype.Point{P: pgtype.Vec2{X: 1, Y: math.Copysign(0, -1)}, Valid: true}).filled(3)
	check(m, pgtype.Polygon{P: []pgtype.Vec2{{X: 1}, {Y: 2}}, Valid: true}).filled(3)
	text := "v"
	check(m, pgtype.Hstore{}, pgtype.Hstore{"a": nil, "b": &text, "": new(string)}).without("Value") // in no order
	check(m, pgtype.Range[pgtype.Int4]{Lower: pgtype.Int4{Int32: 1, Valid: true}, LowerType: pgtype.Inclusive,
		UpperType: pgtype.Unbounded, Valid: true})
	check(m, pgtype.Array[pgtype.Text]{Valid: true}, pgtype.Array[pgtype.Text]{Elements: []pgtype.Text{{String: "a", Valid: true}, {}},
		Dims: []pgtype.ArrayDimension{{Length: 2, LowerBound: 1}}, Valid: true}).filled(3)
	check(m, pgtype.FlatArray[int64]{}, pgtype.FlatArray[int64]{1, 2})
	check(m, pgtype.TSVector{Lexemes: []pgtype.TSVectorLexeme{{Word: "w"}}, Valid: true}).filled(3)
}

func init() {
	m := newModule("github.com/guregu/null/v6")
	check(m, null.StringFrom(""), null.StringFrom("x"), null.NewString("kept", false)).filled(5)
	check(m, null.IntFrom(0), null.IntFrom(math.MinInt64), null.NewInt(7, false)).filled(5)
	check(m, null.FloatFrom(0), null.FloatFrom(math.NaN()), null.FloatFrom(math.Inf(1)), null.NewFloat(0.1, false)).
		equalBy(func(a, b null.Float) bool {
			return math.Float64bits(a.Float64) == math.Float64bits(b.Float64) && a.Valid == b.Valid
		})
	check(m, null.BoolFrom(false), null.BoolFrom(true), null.NewBool(true, false))
	check(m, null.ByteFrom(0), null.ByteFrom(255), null.NewByte(1, false))
	check(m, append(each(instants, null.TimeFrom), null.NewTime(instants[1], false))...).filled(5)
	check(m, null.ValueFrom(netip.Addr{}), null.ValueFrom(netip.MustParseAddr("::1")))
}

func init() {
	m := newModule("cloud.google.com/go")
	day := civil.Date{Year: 2024, Month: time.February, Day: 29}
	noon := civil.Time{Hour: 12, Nanosecond: 1_500_000}
	check(m, day, civil.Date{Year: -1, Month: 13, Day: 99}).
		calls("AddDays", func(v civil.Date) any { return v.AddDays(1) }).filled(5)
	check(m, noon, civil.Time{Hour: 25, Minute: -1}).calls("IsValid", func(v civil.Time) any { return v.IsValid() }).
		filled(5)
	check(m, civil.DateTime{Date: day, Time: noon}, civil.DateTime{Date: day}).filled(5)
}

func init() {
	m := newModule("github.com/lib/pq")
	check(m, pq.StringArray{}, pq.StringArray{"", "a,b", `"quoted"`, "NULL"})
	check(m, pq.Int64Array{}, pq.Int64Array{math.MinInt64, 0})
	check(m, pq.Float64Array{}, pq.Float64Array{math.NaN(), 1e300})
	check(m, pq.BoolArray{}, pq.BoolArray{true, false})
	check(m, pq.ByteaArray{}, pq.ByteaArray{nil, {}, {0}})
	check(m, sql.NullTime{}, sql.NullTime{Time: instants[1], Valid: true})
	check(m, pqerror.UniqueViolation).calls("Name", func(v pqerror.Code) any { return v.Name() })
}

func init() {
	m := newModule("gorm.io/gorm")
	check(m, each(instants, func(v time.Time) gorm.DeletedAt { return gorm.DeletedAt{Time: v, Valid: true} })...).
		filled(3)
	check(m, each(instants, func(v time.Time) gorm.Model {
		return gorm.Model{ID: 7, CreatedAt: v, DeletedAt: gorm.DeletedAt{Time: v, Valid: true}}
	})...).filled(3)
}
