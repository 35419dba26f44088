package codec_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"hash/crc64"
	"hash/fnv"
	"io"
	"log/slog"
	"math"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/parallel/internal/codec"
)

// standard has values of every exported type of the standard library that has a pair. docs/types.md lists them.
func standard() map[string][]any {
	finite := new(big.Float).SetPrec(200).SetMode(big.ToNegativeInf)
	finite.Quo(big.NewFloat(1), big.NewFloat(3))
	exact := new(big.Float).SetInt(new(big.Int).Lsh(big.NewInt(1), 5000))
	seeded := rand.NewChaCha8([32]byte{1, 2})
	_, _ = io.CopyN(io.Discard, seeded, 13)
	level := new(slog.LevelVar)
	level.Set(-7)
	lowest := new(slog.LevelVar)
	lowest.Set(math.MinInt)
	pcg := rand.NewPCG(1, 2)
	pcg.Uint64()
	six := netip.MustParseAddr("fe80::1")
	return map[string][]any{
		"big.Int":   {big.NewInt(0), big.NewInt(-1), new(big.Int).Lsh(big.NewInt(-3), 1000)},
		"big.Rat":   {new(big.Rat), big.NewRat(0, 5), big.NewRat(-1, 3), big.NewRat(4, 2)},
		"big.Float": {new(big.Float), finite, exact, big.NewFloat(math.Copysign(0, -1)), big.NewFloat(math.Inf(-1)), new(big.Float).SetPrec(7), new(big.Float).SetMode(big.AwayFromZero)},
		"net.IP":    {net.IP(nil), net.IP{}, net.IPv4(1, 2, 3, 4), net.IPv4(1, 2, 3, 4).To4(), net.IP{1, 2, 3}},
		"netip.Addr": {netip.Addr{}, six, six.WithZone("eth0"), netip.MustParseAddr("::ffff:1.2.3.4"), netip.MustParseAddr("::ffff:1.2.3.4").WithZone("z"),
			netip.IPv4Unspecified(), netip.IPv6Unspecified()},
		"netip.AddrPort": {netip.AddrPort{}, netip.AddrPortFrom(netip.Addr{}, 80), netip.AddrPortFrom(six.WithZone("1"), 0), netip.MustParseAddrPort("1.2.3.4:65535")},
		"netip.Prefix": {netip.Prefix{}, netip.MustParsePrefix("10.1.2.3/8"), netip.PrefixFrom(six, -1), netip.PrefixFrom(six, 129), netip.PrefixFrom(six, 0),
			netip.PrefixFrom(netip.MustParseAddr("1.2.3.4"), 32)},
		"slog.Level":    {slog.Level(0), slog.Level(-1), slog.Level(math.MinInt), slog.Level(math.MaxInt)},
		"slog.LevelVar": {new(slog.LevelVar), level, lowest},
		"rand.PCG":      {new(rand.PCG), pcg},
		"rand.ChaCha8":  {seeded, rand.NewChaCha8([32]byte{})},
		"x509.OID":      {x509.OID{}, must(x509.OIDFromInts([]uint64{1, 2, 840, 113549})), must(x509.OIDFromInts([]uint64{2, 999, math.MaxUint64}))},
		"regexp.Regexp": regexps(),
		"url.URL":       urls(),
		"time.Time":     {time.Time{}, time.Unix(1, 2).UTC(), time.Unix(-1<<40, 0).In(time.FixedZone("X", 60))},
		"hash states": {adler32.New(), after(adler32.New()), fnv.New32(), after(fnv.New64a()), after(fnv.New128()), after(md5.New()), after(sha1.New()),
			after(sha256.New()), after(sha3.New256())},
	}
}

// after gives a hash that has read something.
func after[H hash.Hash](h H) H {
	_, _ = io.WriteString(h, strings.Repeat("some text", 20))
	return h
}

func regexps() []any {
	longest := regexp.MustCompile(`a(|b|bb)`)
	longest.Longest()
	// Made in another way, but the same program.
	posix := regexp.MustCompilePOSIX(`a(|b|bb)`)
	return []any{posix, new(regexp.Regexp), regexp.MustCompile(""), regexp.MustCompile(`^a+?(?P<name>\d|é)*$`), longest, regexp.MustCompile(`^abc$`), *regexp.MustCompile("x")}
}

func urls() (all []any) {
	for _, text := range []string{
		"", "http://example.com/a?b#c", "//host/path", "http://u@h", "http://u:@h", "http://:@h", "http://u:p%40@h/%2f?#", "mailto:a@b", "/a%2Fb", "?",
		"http://h?", "http://[fe80::1%25eth0]:80/", "a//b",
	} {
		all = append(all, must(url.Parse(text)))
	}
	return append(all,
		url.URL{}, &url.URL{Path: "//x"}, &url.URL{Path: "a:b"}, &url.URL{Scheme: "http", Host: "a b", Path: "no slash"}, &url.URL{RawPath: "wrong", Path: "/right"},
		&url.URL{User: url.User("")}, &url.URL{User: url.UserPassword("", "")}, &url.URL{OmitHost: true}, &url.URL{Opaque: "\x00", RawFragment: "%zz"},
		url.UserPassword("a", "b"), (*url.Userinfo)(nil), *url.User("a"))
}

func TestStandardTypes(t *testing.T) {
	for name, values := range standard() {
		t.Run(name, func(t *testing.T) {
			for _, v := range values {
				types := new(codec.Types)
				rt := reflect.TypeOf(v)
				p := reflect.New(rt)
				p.Elem().Set(reflect.ValueOf(v))
				got := decode(t, types, rt, encode(t, types, p)).Elem().Interface()
				if rt == reflect.TypeFor[time.Time]() {
					if !sameTime(v.(time.Time), got.(time.Time)) {
						t.Errorf("sent %v, received %v", v, got)
					}
					continue
				}
				if u, ok := got.(*rand.ChaCha8); ok { // its buffer may be filled in another place
					for range 1000 {
						if u.Uint64() != v.(*rand.ChaCha8).Uint64() {
							t.Fatal("another sequence")
						}
					}
					continue
				}
				if !reflect.DeepEqual(v, got) {
					t.Errorf("sent %#v, received %#v", v, got)
				}
				if h, ok := got.(hash.Hash); ok && string(h.Sum(nil)) != string(v.(hash.Hash).Sum(nil)) {
					t.Error("another sum")
				}
			}
		})
	}
}

// Types whose own methods cannot make a new value: the error is that of the item, never another value.
func TestStandardTypesThatFail(t *testing.T) {
	posix := regexp.MustCompilePOSIX(`^[^a]$`)
	for _, v := range []any{
		posix, *posix, after(crc32.NewIEEE()), after(crc64.New(crc64.MakeTable(crc64.ISO))), after(sha512.New()), after(sha256.New224()),
		sha3.NewSHAKE128(),
	} {
		types := new(codec.Types)
		rt := reflect.TypeOf(v)
		plan, err := types.Plan(rt)
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		p := reflect.New(rt)
		p.Elem().Set(reflect.ValueOf(v))
		b, err := plan.Append(nil, p.UnsafePointer(), noLimit)
		if err == nil {
			err = plan.Decode(b, reflect.New(rt).UnsafePointer())
		}
		var failed *codec.ValueError
		if !errors.As(err, &failed) {
			t.Errorf("%T: %v, want a *ValueError", v, err)
		}
	}
}

func TestStandardTypesThatAreRefused(t *testing.T) {
	for _, rt := range []reflect.Type{
		reflect.TypeFor[*time.Location](), reflect.TypeFor[slog.Value](), reflect.TypeFor[slog.Record](), reflect.TypeFor[rand.Rand](),
		reflect.TypeFor[strings.Builder](), reflect.TypeFor[strings.Replacer](), reflect.TypeFor[net.TCPConn](),
	} {
		var refused *codec.TypeError
		if _, err := new(codec.Types).Plan(rt); !errors.As(err, &refused) {
			t.Errorf("%v: %v, want a *TypeError", rt, err)
		}
	}
}

func TestRegexpErrorSaysWhatToDo(t *testing.T) {
	types := new(codec.Types)
	re := regexp.MustCompilePOSIX("^a|b$")
	plan, err := types.Plan(reflect.TypeOf(re))
	if err != nil {
		t.Fatal(err)
	}
	_, err = plan.Append(nil, reflect.ValueOf(&re).UnsafePointer(), noLimit)
	if err == nil || !strings.Contains(err.Error(), "send its text") {
		t.Errorf("got %v", err)
	}
}

func TestRegexpsAreNotTrusted(t *testing.T) {
	types := new(codec.Types)
	plan, err := types.Plan(reflect.TypeFor[regexp.Regexp]())
	if err != nil {
		t.Fatal(err)
	}
	good := regexp.MustCompile("a+")
	b, err := plan.Append(nil, reflect.ValueOf(good).UnsafePointer(), noLimit)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "q", "p(", "(p", "\xffp", "ax"} {
		bad := append([]byte{byte(len(text)) + 1}, text...)
		for len(bad) < len(b) {
			bad = append(bad, 0)
		}
		var got regexp.Regexp
		if err := plan.Decode(bad, reflect.ValueOf(&got).UnsafePointer()); err == nil {
			t.Errorf("accepted %q: %v", text, fmt.Sprint(&got))
		}
	}
}
