package faithful

import (
	"encoding/json"
	"time"

	"cloud.google.com/go/civil"
	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/guregu/null/v6"
	"github.com/oklog/ulid/v2"
	"github.com/paulmach/orb"
	"github.com/shopspring/decimal"
	"golang.org/x/text/language"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// An order is what programs have: a struct of their own, with types of many modules
// in it.
type order struct {
	ID       uuid.UUID
	Total    decimal.NullDecimal
	Paid     null.Time
	Delivery *civil.Date
	Created  *timestamppb.Timestamp
	Meta     *structpb.Struct
	Where    orb.Geometry
	Limits   corev1.ResourceList
	Versions []*semver.Version
	Language map[ulid.ULID]language.Tag
	Raw      json.RawMessage
	Extra    map[string]any
	Next     *order
}

// The codecs of the types in an order must be registered before it, so this file's
// name comes after those of the others: init functions run in that order.
func init() {
	m := newModule(standard)
	o := order{
		ID:       uuid.Max,
		Total:    decimal.NewNullDecimal(decimal.New(1999, -2)),
		Paid:     null.TimeFrom(instants[1]),
		Delivery: &civil.Date{Year: 2024, Month: time.May, Day: 1},
		Created:  timestamppb.New(instants[0]),
		Meta:     must(structpb.NewStruct(map[string]any{"k": []any{nil, true}})),
		Where:    orb.Collection{orb.Point{1, 2}, orb.LineString{}},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("1500m")},
		Versions: []*semver.Version{semver.MustParse("v1.2"), nil},
		Language: map[ulid.ULID]language.Tag{{}: language.German, {15: 1}: language.MustParse("zh-Hant")},
		Raw:      json.RawMessage("{}"),
		Extra:    map[string]any{"id": uuid.Nil, "at": timestamppb.New(instants[1]), "list": []any{decimal.New(1, 5), null.StringFrom("")}},
	}
	o.Next = &order{Limits: corev1.ResourceList{}, Versions: []*semver.Version{}}
	check(m, o, *o.Next).differentInside().with(protocmp.Transform(), cmp.Comparer(sameQuantity),
		cmp.Comparer(func(a, b decimal.Decimal) bool { return a.Equal(b) && a.Exponent() == b.Exponent() }))
}
