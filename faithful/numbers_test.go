package faithful

import (
	"math"
	"math/big"

	"filippo.io/edwards25519"
	money "github.com/Rhymond/go-money"
	"github.com/bojanz/currency"
	"github.com/cockroachdb/apd/v3"
	"github.com/google/go-cmp/cmp"
	govalues "github.com/govalues/decimal"
	"github.com/shopspring/decimal"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/num/quat"
	"gonum.org/v1/gonum/spatial/r2"
	"gonum.org/v1/gonum/spatial/r3"
	"gopkg.in/inf.v0"
)

// Numbers, matrices and money.

var huge, _ = new(big.Int).SetString("-123456789012345678901234567890", 10)

func init() {
	m := newModule("github.com/shopspring/decimal")
	exact := func(a, b decimal.Decimal) bool { return a.Equal(b) && a.Exponent() == b.Exponent() }
	values := []decimal.Decimal{
		decimal.New(0, -2), decimal.New(1, 0), decimal.New(-1, 30), decimal.New(100, -2), decimal.New(1, -2),
		decimal.NewFromBigInt(huge, -17), decimal.RequireFromString("3.14159265358979323846"),
	}
	check(m, values...).equalBy(exact).refuses(decimal.New(1, math.MinInt32), "exceeds MaxDecodeExponent").
		calls("Exponent", func(v decimal.Decimal) any { return v.Exponent() }).
		calls("Coefficient", func(v decimal.Decimal) any { return v.Coefficient() })
	nulls := []decimal.NullDecimal{{Valid: true}}
	for _, v := range values {
		nulls = append(nulls, decimal.NewNullDecimal(v), decimal.NullDecimal{Decimal: v})
	}
	check(m, nulls...).with(cmp.Comparer(exact)).differentInside()
}

func init() {
	m := newModule("github.com/cockroachdb/apd/v3")
	same := func(a, b apd.BigInt) bool { return a.Cmp(&b) == 0 }
	signs := []apd.Decimal{
		{Negative: true}, {Form: apd.Infinite}, {Form: apd.Infinite, Negative: true}, {Form: apd.NaN}, {Form: apd.NaNSignaling},
		*apd.New(-15, -1), *apd.New(1500, -3), *apd.New(1, 100000), *apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(huge), -40),
	}
	check(m, signs...).with(cmp.Comparer(same)).differentInside()
	var pointers []*apd.Decimal
	var nulls []apd.NullDecimal
	for i := range signs {
		pointers = append(pointers, &signs[i])
		nulls = append(nulls, apd.NullDecimal{Decimal: signs[i], Valid: i%2 == 0})
	}
	check(m, pointers...).with(cmp.Comparer(same)).differentInside()
	check(m, nulls...).with(cmp.Comparer(same)).differentInside()
	check(m, *apd.NewBigInt(-5), *new(apd.BigInt).SetMathBigInt(huge)).equalBy(same)
	check(m, apd.BaseContext, apd.Context{Precision: 5, Rounding: apd.RoundHalfEven, Traps: apd.DefaultTraps}).filled(5)
	check(m, apd.Inexact|apd.Rounded, apd.InvalidOperation)
}

func init() {
	m := newModule("github.com/govalues/decimal")
	check(m, govalues.MustParse("-0.00"), govalues.MustParse("1.50"), govalues.MustNew(math.MinInt64, 19)).
		calls("Scale", func(v govalues.Decimal) any { return v.Scale() })
	check(m, govalues.NullDecimal{Valid: true}, govalues.NullDecimal{Decimal: govalues.MustParse("7.0"), Valid: true},
		govalues.NullDecimal{Decimal: govalues.MustParse("7.0")})
}

func init() {
	m := newModule("gopkg.in/inf.v0")
	check(m, inf.NewDec(15, 1), inf.NewDec(-1500, 3), inf.NewDec(0, 5), inf.NewDecBig(huge, -9)).
		calls("Scale", func(v *inf.Dec) any { return v.Scale() })
}

func init() {
	m := newModule("github.com/Rhymond/go-money")
	check(m, money.Currency{Code: "EUR", Fraction: 2, Grapheme: "€", Template: "$1"}, *money.GetCurrency(money.JPY)).
		filled(3)
}

func init() {
	m := newModule("github.com/bojanz/currency")
	var amounts []currency.Amount
	for _, number := range []string{"0", "-0.00", "10.99", "1e3", "123456789012345678901234567890.5"} {
		a, err := currency.NewAmount(number, "EUR")
		if err != nil {
			panic(err)
		}
		amounts = append(amounts, a)
	}
	check(m, amounts...).equalBy(func(a, b currency.Amount) bool {
		return a.Number() == b.Number() && a.CurrencyCode() == b.CurrencyCode()
	}).calls("Round", func(v currency.Amount) any { return v.Round().String() })
	check(m, currency.NewLocale("de-AT"), currency.NewLocale("sr-Latn-RS"))
	check(m, currency.Definition{NumericCode: "999", Digits: 4}).filled(3)
}

func init() {
	m := newModule("gonum.org/v1/gonum")
	nan := math.Float64frombits(0x7ff8_0000_0000_beef)
	check(m, *mat.NewDense(2, 3, []float64{1, 2, 3, nan, math.Inf(-1), math.Copysign(0, -1)}), *mat.NewDense(1, 1, nil)).
		with(cmp.Comparer(sameDense)).differentInside().calls("T", func(v mat.Dense) any {
		r, c := v.T().Dims()
		return []int{r, c}
	})
	check(m, mat.NewDense(3, 2, []float64{1, 2, 3, 4, 5, 6}), mat.NewDense(4, 4, nil).Slice(1, 3, 1, 3).(*mat.Dense)).
		with(cmp.Comparer(sameDense)).differentInside()
	check(m, *mat.NewVecDense(3, []float64{1, nan, 3}), *mat.NewVecDense(1, nil)).with(cmp.Comparer(sameVector)).
		differentInside()
	check(m, mat.NewVecDense(2, []float64{1, 2})).with(cmp.Comparer(sameVector)).differentInside()
	check(m, quat.Number{Real: 1, Imag: 2, Jmag: nan, Kmag: -4}).
		calls("Abs", func(v quat.Number) any { return quat.Abs(v) }).filled(3)
	check(m, r2.Vec{X: 1, Y: nan}).filled(3)
	check(m, r3.Vec{X: 1, Y: 2, Z: math.Inf(1)}).calls("Norm", func(v r3.Vec) any { return r3.Norm(v) }).filled(3)
	check(m, r3.Box{Min: r3.Vec{X: -1}, Max: r3.Vec{X: 1}}).filled(3)
	check(m, r3.Triangle{{X: 1}, {Y: 1}, {Z: 1}}).calls("Area", func(v r3.Triangle) any { return v.Area() })
}

func init() {
	m := newModule("filippo.io/edwards25519")
	registerEdwards25519()
	two, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{2}, make([]byte, 31)...))
	if err != nil {
		panic(err)
	}
	generator := edwards25519.NewGeneratorPoint()
	check(m, generator, edwards25519.NewIdentityPoint(), new(edwards25519.Point).ScalarBaseMult(two)).
		equalBy(pointers(func(a, b *edwards25519.Point) bool { return a.Equal(b) == 1 })).
		calls("Bytes", func(v *edwards25519.Point) any { return v.Bytes() })
	check(m, edwards25519.NewScalar(), two).
		equalBy(pointers(func(a, b *edwards25519.Scalar) bool { return a.Equal(b) == 1 })).
		calls("Bytes", func(v *edwards25519.Scalar) any { return v.Bytes() })
}

// sameDense compares dimensions and bits. The stride of a part of another matrix
// is not kept.
func sameDense(a, b mat.Dense) bool {
	rows, columns := a.Dims()
	if r, c := b.Dims(); r != rows || c != columns {
		return false
	}
	for i := range rows {
		for j := range columns {
			if math.Float64bits(a.At(i, j)) != math.Float64bits(b.At(i, j)) {
				return false
			}
		}
	}
	return true
}

func sameVector(a, b mat.VecDense) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if math.Float64bits(a.AtVec(i)) != math.Float64bits(b.AtVec(i)) {
			return false
		}
	}
	return true
}
