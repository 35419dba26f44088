package faithful

import (
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Protobuf messages. Each has a line of registerProto; see recipes_test.go.

// checkProto adds the row of a message and registers its codec.
func checkProto[M proto.Message](m *moduleTypes, values ...M) *row {
	registerProto[M]()
	return check(m, values...).with(protocmp.Transform()).differentInside().
		calls("proto.Size", func(v M) any { return proto.Size(v) }).
		calls("proto.Equal to itself", func(v M) any { return proto.Equal(v, v) })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func init() {
	m := newModule("google.golang.org/protobuf")
	checkProto(m, timestamppb.New(time.Unix(1, 999)), &timestamppb.Timestamp{Seconds: math.MinInt64, Nanos: -1})
	checkProto(m, durationpb.New(-time.Millisecond), &durationpb.Duration{Seconds: 1, Nanos: -1})
	unknown := &emptypb.Empty{}
	unknown.ProtoReflect().SetUnknown([]byte{0x08, 0x01})
	checkProto(m, unknown)
	checkProto(m, &fieldmaskpb.FieldMask{Paths: []string{"a", "b.c", ""}})
	checkProto(m, wrapperspb.String(""), wrapperspb.String("x\x00")).
		refuses(wrapperspb.String("\xff"), "invalid UTF-8")
	checkProto(m, wrapperspb.Bytes(nil), wrapperspb.Bytes([]byte{0, 255}))
	checkProto(m, wrapperspb.Double(0), wrapperspb.Double(math.NaN()), wrapperspb.Double(math.Copysign(0, -1)))
	checkProto(m, wrapperspb.UInt64(math.MaxUint64))
	checkProto(m, must(structpb.NewStruct(map[string]any{"n": nil, "x": 1.5, "s": "t", "l": []any{true, map[string]any{}}})))
	checkProto(m, structpb.NewNullValue(), structpb.NewStringValue(""), structpb.NewListValue(&structpb.ListValue{}))
	checkProto(m, must(structpb.NewList([]any{1, "two", nil})))
	checkProto(m, must(anypb.New(wrapperspb.String("inside"))), &anypb.Any{TypeUrl: "type.example.com/unknown", Value: []byte{1}})
	checkProto(m, &descriptorpb.FieldDescriptorProto{Name: proto.String(""), Number: proto.Int32(0), JsonName: proto.String("x")})
	check(m, struct {
		ID   int
		When *timestamppb.Timestamp
		Tags []*structpb.Value
	}{7, timestamppb.New(time.Unix(5, 0)), []*structpb.Value{nil, structpb.NewBoolValue(true)}}).
		with(protocmp.Transform()).differentInside()
}

func init() {
	m := newModule("google.golang.org/genproto/googleapis/rpc")
	checkProto(m, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "f", Description: "d"}, {}}})
	checkProto(m, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	checkProto(m, &errdetails.ErrorInfo{Reason: "R", Metadata: map[string]string{"": "empty", "k": "v"}})
	checkProto(m, &status.Status{Code: 5, Message: "not found", Details: []*anypb.Any{must(anypb.New(&errdetails.RetryInfo{}))}})
}

func init() {
	m := newModule("github.com/prometheus/client_model")
	checkProto(m, &dto.MetricFamily{Name: proto.String("requests"), Help: proto.String(""), Type: dto.MetricType_HISTOGRAM.Enum(),
		Metric: []*dto.Metric{{Label: []*dto.LabelPair{{Name: proto.String("code"), Value: proto.String("200")}},
			Histogram: &dto.Histogram{SampleCount: proto.Uint64(0), SampleSum: proto.Float64(math.NaN())}}}})
	checkProto(m, &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(0)}, TimestampMs: proto.Int64(-1)})
}
