package faithful

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/big"

	"filippo.io/edwards25519"
	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/go-version"
	"github.com/twpayne/go-geom"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"google.golang.org/protobuf/proto"
	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"

	"example.com/parallel"
)

// The codecs of types that cannot cross by themselves, to copy from.

// registerProto is for generated messages, one line each:
//
//	registerProto[*timestamppb.Timestamp]()
//
// A message in an interface needs parallel.RegisterType as well.
func registerProto[M proto.Message]() {
	parallel.RegisterCodec(
		func(m M) ([]byte, error) {
			return proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
		},
		func(b []byte) (M, error) {
			var null M
			m := null.ProtoReflect().New().Interface().(M)
			return m, proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(b, m)
		})
}

// quantity is what a resource.Quantity is made of.
type quantity struct {
	Format   resource.Format
	Unscaled *big.Int
	Scale    inf.Scale
	Big      bool // AsDec has been called, or the number does not fit in an int64
}

// registerQuantity keeps what resource.Quantity's text does not: the format, and
// which of its two forms it has, on which AsInt64 depends.
func registerQuantity() {
	parallel.RegisterCodec(
		func(q resource.Quantity) ([]byte, error) {
			again := q
			dec := q.AsDec() // makes a number of its own for each copy that has none
			return json.Marshal(quantity{q.Format, dec.UnscaledBig(), dec.Scale(), again.AsDec() == dec})
		},
		func(b []byte) (resource.Quantity, error) {
			var q quantity
			if err := json.Unmarshal(b, &q); err != nil {
				return resource.Quantity{}, err
			}
			if q.Unscaled == nil {
				return resource.Quantity{}, errors.New("a quantity without a number")
			}
			if q.Big {
				return *resource.NewDecimalQuantity(*inf.NewDecBig(q.Unscaled, q.Scale), q.Format), nil
			}
			small := resource.NewScaledQuantity(q.Unscaled.Int64(), resource.Scale(-q.Scale))
			small.Format = q.Format
			return *small, nil
		})
}

// registerText is for types with a text form and a function that parses it.
func registerText[T any](text func(T) string, parse func(string) (T, error)) {
	parallel.RegisterCodec(
		func(v T) ([]byte, error) { return []byte(text(v)), nil },
		func(b []byte) (T, error) { return parse(string(b)) })
}

// registerRequirement reads a selector with one requirement.
func registerRequirement() {
	registerText(
		func(r labels.Requirement) string { return r.String() },
		func(s string) (labels.Requirement, error) {
			all, err := labels.ParseToRequirements(s)
			if err != nil || len(all) != 1 {
				return labels.Requirement{}, errors.Join(err, errors.New("want one requirement"))
			}
			return all[0], nil
		})
}

func registerLanguageParts() {
	registerText(language.Base.String, language.ParseBase)
	registerText(language.Script.String, language.ParseScript)
	registerText(language.Region.String, language.ParseRegion)
	registerText(currency.Unit.String, currency.ParseISO)
}

// registerSemver keeps the text that a version was made of, which its own text form
// does not.
func registerSemver() {
	registerText(
		func(v semver.Version) string { return v.Original() },
		func(s string) (semver.Version, error) {
			v, err := semver.NewVersion(s)
			if err != nil {
				return semver.Version{}, err
			}
			return *v, nil
		})
}

// registerConstraint is for the elements of version.Constraints.
func registerConstraint() {
	registerText((*version.Constraint).String, func(s string) (*version.Constraint, error) {
		all, err := version.NewConstraint(s)
		if err != nil || len(all) != 1 {
			return nil, errors.Join(err, errors.New("want one constraint"))
		}
		return all[0], nil
	})
}

// registerECDSA is for the public keys of certificates. Their curve is an
// interface that holds the variable of a curve.
func registerECDSA() {
	parallel.RegisterCodec(
		func(k ecdsa.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(&k) },
		func(b []byte) (ecdsa.PublicKey, error) {
			k, err := x509.ParsePKIXPublicKey(b)
			if key, ok := k.(*ecdsa.PublicKey); ok {
				return *key, nil
			}
			return ecdsa.PublicKey{}, errors.Join(err, errors.New("not an ECDSA key"))
		})
}

// registerEdwards25519 is for both of its types. Zero values, of which a point has no
// bytes, do not come here.
func registerEdwards25519() {
	parallel.RegisterCodec(
		func(p edwards25519.Point) ([]byte, error) { return p.Bytes(), nil },
		func(b []byte) (p edwards25519.Point, err error) {
			_, err = p.SetBytes(b)
			return p, err
		})
	parallel.RegisterCodec(
		func(s edwards25519.Scalar) ([]byte, error) { return s.Bytes(), nil },
		func(b []byte) (s edwards25519.Scalar, err error) {
			_, err = s.SetCanonicalBytes(b)
			return s, err
		})
}

// flatGeometry is what the geometries of go-geom that are one row of numbers have.
type flatGeometry[G any] interface {
	Layout() geom.Layout
	FlatCoords() []float64
	SRID() int
	SetSRID(int) G
}

// registerGeometry is for such geometries, with the function that makes one.
func registerGeometry[G flatGeometry[G]](make func(geom.Layout, []float64) G) {
	type parts struct {
		Layout geom.Layout
		Coords []float64
		SRID   int
	}
	parallel.RegisterCodec(
		func(g G) ([]byte, error) { return json.Marshal(parts{g.Layout(), g.FlatCoords(), g.SRID()}) },
		func(b []byte) (g G, err error) {
			var p parts
			if err := json.Unmarshal(b, &p); err != nil {
				return g, err
			}
			return make(p.Layout, p.Coords).SetSRID(p.SRID), nil
		})
}

// registerGeo is for types of golang/geo, which write themselves to a stream.
func registerGeo[T any](encode func(T, io.Writer) error, decode func(*T, io.Reader) error) {
	parallel.RegisterCodec(
		func(v T) ([]byte, error) {
			var b bytes.Buffer
			err := encode(v, &b)
			return b.Bytes(), err
		},
		func(b []byte) (v T, err error) { return v, decode(&v, bytes.NewReader(b)) })
}

func registerVector() {
	parallel.RegisterCodec(
		func(v bson.Vector) ([]byte, error) { return v.Binary().Data, nil },
		func(b []byte) (bson.Vector, error) {
			return bson.NewVectorFromBinary(bson.Binary{Subtype: bson.TypeBinaryVector, Data: b})
		})
}

func registerDecimal128() {
	parallel.RegisterCodec(
		func(d bson.Decimal128) ([]byte, error) {
			high, low := d.GetBytes()
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low), nil
		},
		func(b []byte) (bson.Decimal128, error) {
			if len(b) != 16 {
				return bson.Decimal128{}, errors.New("want 16 bytes")
			}
			return bson.NewDecimal128(binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])), nil
		})
}

// registerCty sends a value with its type. Values without a type, which are
// cty.NilVal, are zero values and need no codec.
func registerCty() {
	parallel.RegisterCodec(
		func(v cty.Value) ([]byte, error) { return ctyjson.Marshal(v, cty.DynamicPseudoType) },
		func(b []byte) (cty.Value, error) { return ctyjson.Unmarshal(b, cty.DynamicPseudoType) })
	parallel.RegisterCodec(
		func(t cty.Type) ([]byte, error) { return ctyjson.MarshalType(t) },
		func(b []byte) (cty.Type, error) { return ctyjson.UnmarshalType(b) })
}

// registerSpanContext keeps what a context's own JSON form does not: whether it is
// remote.
func registerSpanContext() {
	type parts struct {
		TraceID [16]byte
		SpanID  [8]byte
		Flags   byte
		State   string
		Remote  bool
	}
	parallel.RegisterCodec(
		func(c trace.SpanContext) ([]byte, error) {
			return json.Marshal(parts{c.TraceID(), c.SpanID(), byte(c.TraceFlags()), c.TraceState().String(), c.IsRemote()})
		},
		func(b []byte) (trace.SpanContext, error) {
			var p parts
			if err := json.Unmarshal(b, &p); err != nil {
				return trace.SpanContext{}, err
			}
			state, err := trace.ParseTraceState(p.State)
			return trace.NewSpanContext(trace.SpanContextConfig{TraceID: p.TraceID, SpanID: p.SpanID,
				TraceFlags: trace.TraceFlags(p.Flags), TraceState: state, Remote: p.Remote}), err
		})
}
