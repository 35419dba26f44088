package faithful

import (
	"math"

	"github.com/golang/geo/r1"
	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"
	"github.com/paulmach/orb"
	"github.com/paulmach/orb/geojson"
	"github.com/twpayne/go-geom"

	"example.com/parallel"
)

// Points, lines and shapes.

func init() {
	m := newModule("github.com/paulmach/orb")
	ring := orb.Ring{{0, 0}, {1, 0}, {1, 1}, {0, 0}}
	parallel.RegisterType(orb.Point{}, orb.MultiPoint(nil), orb.LineString(nil), orb.MultiLineString(nil), orb.Ring(nil),
		orb.Polygon(nil), orb.MultiPolygon(nil), orb.Collection(nil), orb.Bound{})
	check(m, orb.Point{1, math.NaN()}, orb.Point{180, -90}).equalBy(func(a, b orb.Point) bool {
		return math.Float64bits(a[0]) == math.Float64bits(b[0]) && math.Float64bits(a[1]) == math.Float64bits(b[1])
	}).calls("Lon", func(v orb.Point) any { return v.Lon() })
	check(m, orb.MultiPoint{}, orb.MultiPoint{{1, 2}, {}})
	check(m, orb.LineString{}, orb.LineString{{0, 0}, {1, 1}}).
		calls("Bound", func(v orb.LineString) any { return v.Bound() })
	check(m, orb.Polygon{}, orb.Polygon{ring, nil, {}})
	check(m, orb.MultiPolygon{}, orb.MultiPolygon{{ring}, nil})
	check(m, orb.Bound{Min: orb.Point{1, 1}}).calls("IsEmpty", func(v orb.Bound) any { return v.IsEmpty() })
	check(m, orb.Collection{}, orb.Collection{orb.Point{1, 2}, orb.Collection{ring, nil}, orb.MultiPoint{}})
	check[orb.Geometry](m, orb.Point{1, 2}, orb.Polygon{ring}, orb.Collection{ring})

	feature := geojson.NewFeature(orb.Polygon{ring})
	feature.ID = "f1"
	feature.Properties = geojson.Properties{"name": "x", "n": 1.5, "nil": nil, "list": []any{1, "two"}}
	feature.BBox = geojson.BBox{0, 0, 1, 1}
	check(m, feature).
		calls("Properties.MustString", func(v *geojson.Feature) any { return v.Properties.MustString("name") })
	collection := geojson.NewFeatureCollection().Append(feature)
	check(m, collection)
	check(m, *geojson.NewGeometry(ring), *geojson.NewGeometry(orb.Collection{orb.Point{}}))
}

func init() {
	m := newModule("github.com/twpayne/go-geom")
	check(m, geom.XYZM, geom.Layout(9)).calls("Stride", func(v geom.Layout) any { return v.Stride() })
	check(m, geom.Coord{}, geom.Coord{1, math.NaN()}).calls("X", func(v geom.Coord) any { return v.X() })
	registerGeometry(geom.NewPointFlat)
	registerGeometry(geom.NewLineStringFlat)
	check(m, geom.NewPointFlat(geom.XY, []float64{1, 2}).SetSRID(4326), geom.NewPointEmpty(geom.XYM)).
		calls("FlatCoords", func(v *geom.Point) any { return v.FlatCoords() })
	check(m, geom.NewLineStringFlat(geom.XYZ, []float64{1, 2, 3, 4, 5, 6})).
		calls("Length", func(v *geom.LineString) any { return v.Length() })
}

func init() {
	m := newModule("github.com/golang/geo")
	center := s2.LatLngFromDegrees(52.5, 13.4)
	point := s2.PointFromLatLng(center)
	check(m, center, s2.LatLng{Lat: s1.Angle(math.NaN())}).
		calls("Normalized", func(v s2.LatLng) any { return v.Normalized() }).filled(3)
	check(m, point, s2.OriginPoint()).calls("CapBound", func(v s2.Point) any { return v.CapBound().String() }).filled(3)
	check(m, s2.CellIDFromLatLng(center), s2.SentinelCellID).
		calls("Parent", func(v s2.CellID) any { return v.ToToken() })
	check(m, s2.CellUnion{}, s2.CellUnion{s2.CellIDFromFace(3), s2.CellIDFromLatLng(center)})
	check(m, s2.FullRect(), s2.EmptyRect(), s2.RectFromLatLng(center)).
		calls("Area", func(v s2.Rect) any { return v.Area() })
	check(m, s2.Polyline{}, s2.Polyline{point, s2.OriginPoint()}).
		calls("Length", func(v s2.Polyline) any { return v.Length() })
	check(m, s1.Degree, s1.InfAngle())
	check(m, s1.FullInterval(), s1.EmptyInterval())
	check(m, r1.EmptyInterval(), r1.Interval{Lo: 1, Hi: 2})
	registerGeo(s2.Cap.Encode, (*s2.Cap).Decode)
	check(m, s2.EmptyCap(), s2.FullCap(), s2.CapFromCenterAngle(point, s1.Degree)).
		equalBy(func(a, b s2.Cap) bool { return a == b }).calls("Area", func(v s2.Cap) any { return v.Area() })
}
