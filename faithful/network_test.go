package faithful

import (
	"math"
	"net"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-github/v74/github"
	"github.com/miekg/dns"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"example.com/parallel"
)

// What services say to each other.

// record parses a resource record.
func record(text string) dns.RR { return must(dns.NewRR(text)) }

func init() {
	m := newModule("github.com/miekg/dns")
	parallel.RegisterType(&dns.A{}, &dns.AAAA{}, &dns.MX{}, &dns.TXT{}, &dns.SOA{}, &dns.OPT{}, &dns.EDNS0_NSID{},
		&dns.EDNS0_SUBNET{}, &dns.SVCB{}, &dns.SVCBAlpn{}, &dns.SVCBPort{})
	query := new(dns.Msg).SetQuestion("example.org.", dns.TypeMX)
	query.SetEdns0(1232, true)
	query.IsEdns0().Option = append(query.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID},
		&dns.EDNS0_SUBNET{Family: 1, Address: net.IPv4(1, 2, 3, 0)})
	reply := new(dns.Msg).SetReply(query)
	reply.Answer = []dns.RR{record("example.org. 60 IN MX 10 mail.example.org."),
		record(`example.org. 60 IN TXT "a" "\000\255"`), nil}
	reply.Ns = []dns.RR{record("example.org. 60 IN SOA ns. root. 1 2 3 4 5")}
	reply.Extra = []dns.RR{record("mail.example.org. 60 IN A 192.0.2.1"), record("mail.example.org. 60 IN AAAA ::ffff:1.2.3.4"),
		record("s.example.org. 60 IN SVCB 1 . alpn=h2,h3 port=443")}
	check(m, query, reply).calls("Len", func(v *dns.Msg) any { return v.Len() }).
		calls("Pack", func(v *dns.Msg) any { return answer(v.Pack()) })
	check[dns.RR](m, reply.Answer[0], reply.Extra[1]).calls("Header", func(v dns.RR) any { return v.Header() })
	check(m, dns.MsgHdr{Id: 1, Response: true, Rcode: dns.RcodeNameError}).filled(3)
	check(m, dns.Question{Name: ".", Qtype: dns.TypeANY, Qclass: dns.ClassINET}).filled(3)
	check(m, dns.A{A: net.IPv4(1, 2, 3, 4)}, dns.A{A: net.IP{1, 2, 3, 4}}, dns.A{A: net.IP{}})
	check(m, dns.TXT{Txt: []string{}}, dns.TXT{Txt: []string{"", "x"}}).filled(3)
	check(m, dns.RRSIG{Algorithm: dns.ED25519, Expiration: math.MaxUint32}).filled(3)
	check(m, dns.LOC{Latitude: 1 << 31}).filled(3)
	check(m, dns.Type(dns.TypeA), dns.Type(65535))
}

func init() {
	m := newModule("github.com/golang-jwt/jwt/v5")
	check(m, append(each(instants, jwt.NewNumericDate), &jwt.NumericDate{Time: time.Unix(1, 500)})...)
	check(m, jwt.ClaimStrings{}, jwt.ClaimStrings{"a"}, jwt.ClaimStrings{"a", ""})
	check(m, jwt.MapClaims{}, jwt.MapClaims{"sub": "x", "exp": 1.5e9, "aud": []any{"a", "b"}, "nil": nil}).
		calls("GetAudience", func(v jwt.MapClaims) any { return answer(v.GetAudience()) })
	check(m, jwt.RegisteredClaims{Issuer: "i", Audience: jwt.ClaimStrings{},
		ExpiresAt: jwt.NewNumericDate(instants[1])}).filled(5)
}

func init() {
	m := newModule("github.com/prometheus/common")
	set := model.LabelSet{"__name__": "up", "job": ""}
	check(m, model.LabelSet{}, set).calls("Fingerprint", func(v model.LabelSet) any { return v.Fingerprint() })
	check(m, model.Metric{}, model.Metric(set))
	check(m, model.SampleValue(math.NaN()), model.SampleValue(math.Inf(-1)),
		model.SampleValue(math.Float64frombits(0x7ff0000000000002)))
	check(m, model.Earliest, model.Latest, model.Time(-1)).calls("Time", func(v model.Time) any { return v.Time() })
	check(m, model.Duration(1), model.Duration(90*time.Minute), model.Duration(-1))
	check(m, model.SamplePair{Timestamp: 1, Value: 2}).filled(3)
	check(m, &model.Sample{Metric: model.Metric(set), Value: 1.5}, &model.Sample{Histogram: &model.SampleHistogram{Count: 1}})
	check(m, model.Vector{}, model.Vector{nil, {Metric: model.Metric(set), Timestamp: 7}})
	check(m, model.Matrix{}, model.Matrix{{Values: []model.SamplePair{{Timestamp: 1, Value: -1}}}, {}})
	check(m, model.Alert{Labels: set, StartsAt: instants[1]}).
		calls("Resolved", func(v model.Alert) any { return v.Resolved() }).filled(5)
	parallel.RegisterType(&model.Scalar{}, model.Vector(nil))
	check[model.Value](m, &model.Scalar{Value: 1, Timestamp: 2}, model.Vector{})
}

func init() {
	m := newModule("go.opentelemetry.io/otel")
	check(m, attribute.Key("k"))
	check(m, attribute.INT64, attribute.STRINGSLICE)
	m = newModule("go.opentelemetry.io/otel/trace")
	check(m, trace.TraceID{15: 1}).calls("IsValid", func(v trace.TraceID) any { return v.IsValid() }).filled(3)
	check(m, trace.SpanID{7: 1}).filled(3)
	check(m, trace.FlagsSampled, trace.TraceFlags(255))
	registerSpanContext()
	state := must(trace.ParseTraceState("vendor=value,other=x"))
	check(m, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true}), trace.NewSpanContext(trace.SpanContextConfig{})).
		differentInside()
}

func init() {
	m := newModule("github.com/google/go-github/v74")
	check(m, append(each(instants, func(v time.Time) github.Timestamp { return github.Timestamp{Time: v} }),
		github.Timestamp{})...)
	check(m, &github.User{Login: new(string), CreatedAt: &github.Timestamp{Time: instants[1]}}).filled(10)
	check(m, github.Issue{Labels: []*github.Label{}, Number: new(int)}).
		calls("GetNumber", func(v github.Issue) any { return v.GetNumber() }).filled(10)
	check(m, &github.Repository{Topics: []string{}, Owner: &github.User{}}).filled(10)
	check(m, github.Milestone{State: new(string)}).filled(5)
	check(m, github.Commit{Parents: []*github.Commit{nil, {SHA: new(string)}}}).filled(5)
	check(m, &github.Reactions{TotalCount: new(int)}).filled(5)
}
