package faithful

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	toml1 "github.com/BurntSushi/toml"
	money "github.com/Rhymond/go-money"
	"github.com/lib/pq"
	"github.com/robfig/cron/v3"
	"github.com/twpayne/go-geom"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/text/language"
	"google.golang.org/protobuf/types/known/apipb"

	"example.com/parallel"
)

// withFunc stands for a struct of one's own that has a func somewhere.
type withFunc struct{ Parts []struct{ Done func() } }

// TestRefusals registers types that cannot cross. Register must say where in the
// type the reason is, and what to do if the type is not one's own.
func TestRefusals(t *testing.T) {
	for _, r := range []struct {
		register func()
		path     string
		codecOf  string // the type that a codec would help
	}{
		{refuse[*apipb.Api], "*apipb.Api.state", "*apipb.Api"},
		{refuse[map[string][]*apipb.Api], "map[string][]*apipb.Api[][].state", "*apipb.Api"},
		{refuse[box[apipb.Api]], ".Value.state", "apipb.Api"},
		{refuse[slog.Attr], "slog.Attr.Value.num", "slog.Value"},
		{refuse[slog.Record], "slog.Record.", "slog.Record"},
		{refuse[*geom.Polygon], "*geom.Polygon.geom2.", "*geom.Polygon"},
		{refuse[attribute.KeyValue], "attribute.KeyValue.Value.vtype", "attribute.Value"},
		{refuse[toml1.MetaData], "toml.MetaData.", "toml.MetaData"},
		{refuse[bson.RawValue], "bson.RawValue.r", "bson.RawValue"},
		{refuse[*pq.Error], "*pq.Error.query", "*pq.Error"},
		{refuse[*cron.SpecSchedule], "*cron.SpecSchedule.Location.", "*time.Location"},
		{refuse[*money.Money], "*money.Money.amount", "*money.Money"},
		{refuse[language.Extension], "language.Extension.s", "language.Extension"},
		{refuse[*http.Request], "*http.Request.", "*http.Request"},
		{refuse[bytes.Buffer], "bytes.Buffer.buf", "bytes.Buffer"},
		{refuse[withFunc], "faithful.withFunc.Parts[].Done: a func", "faithful.withFunc"},
	} {
		text := panicText(r.register)
		advice := "parallel.RegisterCodec(func(v " + r.codecOf + ") ([]byte, error) { … }, func(b []byte) (" + r.codecOf + ", error) { … })"
		if !strings.HasPrefix(text, "parallel: Register(") || !strings.Contains(text, r.path) || !strings.Contains(text, advice) {
			t.Errorf("registering gives\n%q, want a panic with\n%q and\n%q", text, r.path, advice)
		}
	}
}

func refuse[T any]() { parallel.Register(identity[T]) }
