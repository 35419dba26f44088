package faithful

import (
	"archive/tar"
	"archive/zip"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"encoding/xml"
	"go/token"
	"image"
	"image/color"
	"log/slog"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"reflect"
	"regexp"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/parallel"
)

// The standard library. It does not count as a module.

func parseURL(s string) *url.URL { return must(url.Parse(s)) }

func init() {
	m := newModule(standard)
	check(m, netip.MustParseAddr("::ffff:1.2.3.4"), netip.MustParseAddr("fe80::1%eth0"), netip.IPv4Unspecified())
	check(m, netip.MustParseAddrPort("[::1]:80"), netip.AddrPort{})
	check(m, netip.MustParsePrefix("10.0.0.0/8"), netip.PrefixFrom(netip.MustParseAddr("10.1.2.3"), 8),
		netip.PrefixFrom(netip.IPv6Loopback(), -1))
	check(m, net.IP{}, net.IPv4(1, 2, 3, 4), net.IP{1, 2, 3, 4}, net.IP{1, 2})
	check(m, net.IPNet{IP: net.IPv4zero, Mask: net.IPMask{}}, *must2(net.ParseCIDR("10.0.0.0/8")))
	check(m, net.TCPAddr{IP: net.IPv6loopback, Port: 1, Zone: "z"}).filled(3)
	check(m, net.HardwareAddr{}, net.HardwareAddr{0, 1, 2, 3, 4, 5})
	check(m, url.URL{Path: "//x"}, url.URL{Path: "a:b"}, url.URL{Scheme: "http", Host: "h", Path: "/a b", RawPath: "/a%20b"},
		url.URL{ForceQuery: true}, url.URL{RawFragment: "%41", Fragment: "A"},
		url.URL{OmitHost: true, Scheme: "x", Path: "//h"},
		*parseURL("https://user:pw@example.com/a%2Fb?q=1#f"), *parseURL("https://user@h"),
		*parseURL("https://user:@h"), *parseURL("mailto:a@b.c"))
	check(m, url.User(""), url.User("u"), url.UserPassword("u", ""), url.UserPassword("ü:@", "p/?"))
	check(m, url.Values{}, url.Values{"a": nil, "b": {}, "c": {"", "x"}})
	check(m, http.Header{}, http.Header{"A": {"b"}, "lower": nil})
	check(m, http.Cookie{Name: "n", Value: "v", Expires: instants[0], SameSite: http.SameSiteLaxMode}).filled(5)
	check(m, mail.Address{Name: "N", Address: "a@b"}).filled(3)
	check(m, textproto.MIMEHeader{}, textproto.MIMEHeader{"A": {""}})
	check(m, xml.Name{Space: "s", Local: "l"}).filled(3)
	check(m, json.RawMessage{}, json.RawMessage(`{"a":1}`), json.RawMessage("null"))
	check(m, json.Number(""), json.Number("1.50"))
}

func init() {
	m := newModule(standard)
	check(m, instants...)
	check(m, time.Duration(math.MinInt64), 1500*time.Microsecond)
	check(m, time.March, time.Month(99))
	check(m, new(big.Int), huge, new(big.Int).Neg(huge)).differentInside()
	check(m, *huge).differentInside()
	check(m, big.NewFloat(1.5), new(big.Float).SetInf(true), new(big.Float).SetPrec(200).SetMode(big.ToZero).SetInt(huge),
		new(big.Float).SetPrec(53).Neg(new(big.Float))).equalBy(pointers(func(a, b *big.Float) bool {
		return a.Cmp(b) == 0 && a.Prec() == b.Prec() && a.Mode() == b.Mode() && a.Acc() == b.Acc() &&
			a.Signbit() == b.Signbit()
	}))
	check(m, big.NewRat(1, 3), new(big.Rat).SetInt(huge)).
		equalBy(pointers(func(a, b *big.Rat) bool { return a.Cmp(b) == 0 }))
	longest := regexp.MustCompile(`a|ab`)
	longest.Longest()
	check(m, regexp.MustCompile(`a+|b{2,3}`), regexp.MustCompile(``), longest, regexp.MustCompilePOSIX(`a(|b|bb)`)).
		equalBy(pointers(func(a, b *regexp.Regexp) bool { return a.String() == b.String() })).
		calls("FindString", func(v *regexp.Regexp) any { return v.FindString("xaabbb") }).
		refuses(regexp.MustCompilePOSIX(`^[^a]$`), "send its text")
	check(m, slog.LevelDebug, slog.Level(3))
	check(m, slog.Source{Function: "f", File: "g", Line: 1}).filled(3)
	check(m, sql.NullString{Valid: true}, sql.NullString{String: "kept"}).filled(3)
	check(m, sql.Null[time.Time]{V: instants[1], Valid: true}).filled(3)
	check(m, image.Rect(1, 2, 3, 4), image.Rectangle{Min: image.Point{X: 1}})
	check(m, image.NewRGBA(image.Rect(0, 0, 2, 1)), &image.RGBA{Pix: []byte{}})
	check(m, color.RGBA{R: 1, A: 255}).filled(3)
	check(m, token.Position{Filename: "f.go", Line: 3}).filled(3)
	check(m, tar.Header{Name: "n", Size: 1, ModTime: instants[1], PAXRecords: map[string]string{}}).filled(3)
	parallel.RegisterType(zip.FileHeader{})
	check(m, zip.FileHeader{Name: "n", Modified: instants[2], Extra: []byte{}}).filled(3)
}

// certificate makes a certificate that is signed by its own key.
func certificate(key crypto.Signer) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(42), Subject: pkix.Name{CommonName: "c", Organization: []string{"o"}},
		NotBefore: instants[0], NotAfter: time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true,
		BasicConstraintsValid: true, MaxPathLenZero: true,
		DNSNames: []string{"example.org"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
		URIs:     []*url.URL{parseURL("spiffe://a/b")},
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedIPRanges: []*net.IPNet{must2(net.ParseCIDR("10.0.0.0/8"))},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return must(x509.ParseCertificate(der))
}

var samePublicKey = pointers(func(a, b *ecdsa.PublicKey) bool { return a.Equal(b) })

func must2[A, B any](_ A, v B, err error) B { return must(v, err) }

func init() {
	m := newModule(standard)
	registerECDSA()
	parallel.RegisterType((*ecdsa.PublicKey)(nil), (*rsa.PublicKey)(nil), ed25519.PublicKey(nil))
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	check(m, edKey.Public().(ed25519.PublicKey), ed25519.PublicKey{}).
		with(cmp.Comparer(func(a, b *ed25519.PublicKey) bool { return reflect.DeepEqual(a, b) })) // Equal takes no pointer
	check(m, &ecKey.PublicKey).equalBy(samePublicKey).
		calls("Equal", func(v *ecdsa.PublicKey) any { return v.Equal(&ecKey.PublicKey) })
	check(m, certificate(edKey), certificate(ecKey)).differentInside().
		calls("VerifyHostname", func(v *x509.Certificate) any { return answer(0, v.VerifyHostname("example.org")) }).
		calls("CheckSignatureFrom", func(v *x509.Certificate) any { return answer(0, v.CheckSignatureFrom(v)) })
	check(m, pkix.Name{CommonName: "c", Names: []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "c"}}})
	check(m, x509.SHA256WithRSA, x509.PureEd25519)
	check(m, x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
}
