package faithful

import (
	"math"
	"math/big"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/zclconf/go-cty/cty"
	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/net/html"
	"gopkg.in/yaml.v3"

	"example.com/parallel"
)

// Documents and the values in them.

func init() {
	m := newModule("go.mongodb.org/mongo-driver/v2")
	registerVector()
	registerDecimal128()
	parallel.RegisterType(bson.ObjectID{}, bson.D(nil), bson.M(nil), bson.A(nil), bson.DateTime(0), bson.Binary{},
		bson.Decimal128{}, bson.Regex{}, bson.Null{})
	id := must(bson.ObjectIDFromHex("65f0c8f0a1b2c3d4e5f60718"))
	big128, _ := bson.ParseDecimal128FromBigInt(huge, -5)
	check(m, id, bson.NewObjectID()).calls("Timestamp", func(v bson.ObjectID) any { return v.Timestamp() }).filled(3)
	check(m, bson.D{}, bson.D{{Key: "_id", Value: id}, {Key: "d", Value: bson.D{{}}}, {Key: "a", Value: bson.A{1, "x", nil}}}).
		calls("bson.Marshal", func(v bson.D) any { return answer(bson.Marshal(v)) })
	check(m, bson.M{}, bson.M{"n": bson.Null{}, "t": bson.DateTime(1),
		"m":              bson.M{"": bson.Binary{Subtype: 2, Data: []byte{}}}}).
		without("String") // in no order
	check(m, bson.A{}, bson.A{big128, bson.Regex{Pattern: "^a", Options: "i"}, bson.A{}})
	check(m, bson.E{Key: "k", Value: int64(1)})
	check(m, bson.NewDateTimeFromTime(instants[1]), bson.DateTime(math.MinInt64))
	check(m, bson.NewDecimal128(1, 2), big128, must(bson.ParseDecimal128("NaN")), must(bson.ParseDecimal128("-Infinity"))).
		calls("BigInt", func(v bson.Decimal128) any {
			i, e, err := v.BigInt()
			return []any{i, e, answer(0, err)}
		})
	check(m, bson.Binary{Data: []byte{}}, bson.Binary{Subtype: bson.TypeBinaryUUID, Data: []byte{1}}).filled(3)
	check(m, bson.Regex{Pattern: "[", Options: "xi"}, bson.Regex{}).filled(3)
	check(m, bson.Timestamp{T: 1, I: math.MaxUint32}).filled(3)
	check(m, bson.Raw{}, bson.Raw(must(bson.Marshal(bson.D{{Key: "a", Value: 1}}))))
	check(m, bson.JavaScript("x"), bson.JavaScript("f()"))
	check(m, bson.NewVector([]float32{1, float32(math.Inf(1))}), bson.NewVector([]int8{-1}),
		must(bson.NewPackedBitVector([]byte{0xf0}, 4))).
		calls("Binary", func(v bson.Vector) any { return v.Binary() })
}

func init() {
	m := newModule("github.com/aws/aws-sdk-go-v2/service/dynamodb")
	parallel.RegisterType(&types.AttributeValueMemberS{}, &types.AttributeValueMemberN{}, &types.AttributeValueMemberB{},
		&types.AttributeValueMemberBOOL{}, &types.AttributeValueMemberNULL{}, &types.AttributeValueMemberL{},
		&types.AttributeValueMemberM{}, &types.AttributeValueMemberSS{})
	item := &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{
		"s": &types.AttributeValueMemberS{}, "n": &types.AttributeValueMemberN{Value: "1.50"},
		"b": &types.AttributeValueMemberB{Value: []byte{}}, "t": &types.AttributeValueMemberBOOL{Value: true},
		"l":  &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberNULL{Value: true}, nil}},
		"ss": &types.AttributeValueMemberSS{Value: []string{"a"}}}}
	check[types.AttributeValue](m, &types.AttributeValueMemberS{Value: "x"}, item)
	name := "table"
	check(m, types.TableDescription{TableName: &name, CreationDateTime: &instants[0], ItemCount: new(int64),
		KeySchema: []types.KeySchemaElement{{AttributeName: &name, KeyType: types.KeyTypeHash}}}).filled(5)
	check(m, types.Put{TableName: &name, Item: item.Value, ExpressionAttributeNames: map[string]string{}})
	check(m, types.Tag{Key: &name, Value: new(string)}).filled(3)
	check(m, &types.ResourceNotFoundException{Message: &name}).
		calls("ErrorCode", func(v *types.ResourceNotFoundException) any { return v.ErrorCode() })
}

func init() {
	m := newModule("gopkg.in/yaml.v3")
	parse := func(text string) *yaml.Node {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			panic(err)
		}
		return &n
	}
	check(m, parse("# head\na: [1, 'two', !!binary aGk=] # line\nb: {c: null}\n"),
		&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}).
		calls("yaml.Marshal", func(v *yaml.Node) any { return answer(yaml.Marshal(v)) })
	check(m, yaml.FlowStyle|yaml.TaggedStyle)
	check(m, &yaml.TypeError{Errors: []string{"line 1: no"}})
}

func init() {
	m := newModule("golang.org/x/net")
	page := must(html.Parse(strings.NewReader("<p class=x>hi <b>there</b></p>")))
	check(m, &html.Node{Type: html.TextNode, Data: "x", Attr: []html.Attribute{{Key: "k"}}}).
		refuses(page, "contains itself")
	check(m, html.Attribute{Namespace: "n", Key: "k", Val: "v"}).filled(3)
	check(m, html.Token{Type: html.StartTagToken, Data: "a", Attr: []html.Attribute{}}).filled(3)
}

func init() {
	m := newModule("github.com/zclconf/go-cty")
	registerCty()
	check(m, cty.String, cty.List(cty.Number), cty.Object(map[string]cty.Type{"a": cty.Bool, "b": cty.DynamicPseudoType})).
		equalBy(cty.Type.Equals).
		calls("FriendlyName", func(v cty.Type) any { return v.FriendlyName() })
	check(m, cty.StringVal(""), cty.NumberVal(new(big.Float).SetInt64(12)), cty.NullVal(cty.Bool),
		cty.ObjectVal(map[string]cty.Value{"a": cty.ListVal([]cty.Value{cty.True}), "b": cty.EmptyTupleVal})).
		equalBy(func(a, b cty.Value) bool { return isZero(a) && isZero(b) || !isZero(a) && !isZero(b) && a.RawEquals(b) }).
		calls("GoString", func(v cty.Value) any { return v.GoString() }).
		refuses(cty.UnknownVal(cty.String), "not known")
}
