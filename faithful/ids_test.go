package faithful

import (
	"time"

	uuid5 "github.com/gofrs/uuid/v5"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/oklog/ulid/v2"
	"github.com/rs/xid"
	"github.com/segmentio/ksuid"
)

// Identifiers.

func init() {
	m := newModule("github.com/google/uuid")
	id := uuid.MustParse("018f4e3c-7d3a-7cc0-8000-0123456789ab")
	check(m, id, uuid.Max, uuid.New()).
		calls("Version", func(v uuid.UUID) any { return v.Version() }).
		calls("Time", func(v uuid.UUID) any { return v.Time() }).filled(5)
	check(m, uuid.NullUUID{Valid: true}, uuid.NullUUID{UUID: id}, uuid.NullUUID{UUID: id, Valid: true}).filled(5)
	check(m, uuid.UUIDs{}, uuid.UUIDs{id, uuid.Nil}).calls("Strings", func(v uuid.UUIDs) any { return v.Strings() })
}

func init() {
	m := newModule("github.com/gofrs/uuid/v5")
	id := uuid5.Must(uuid5.FromString("6ba7b810-9dad-11d1-80b4-00c04fd430c8"))
	check(m, id, uuid5.Max, uuid5.Must(uuid5.NewV7())).filled(5)
	check(m, uuid5.NullUUID{Valid: true}, uuid5.NullUUID{UUID: id}, uuid5.NullUUID{UUID: id, Valid: true}).filled(5)
	check(m, uuid5.Timestamp(1), uuid5.Timestamp(1<<63)).
		calls("Time", func(v uuid5.Timestamp) any { return answer(v.Time()) })
}

func init() {
	m := newModule("github.com/oklog/ulid/v2")
	check(m, ulid.MustParse("01ARZ3NDEKTSV4RRFFQ69G5FAV"), ulid.MustNew(ulid.Now(), nil), ulid.ULID{15: 1}).
		calls("Time", func(v ulid.ULID) any { return v.Time() }).filled(5)
}

func init() {
	m := newModule("github.com/rs/xid")
	id, _ := xid.FromString("9m4e2mr0ui3e8a215n4g")
	check(m, id, xid.NewWithTime(time.Unix(1, 0))).
		calls("Counter", func(v xid.ID) any { return v.Counter() }).filled(5)
}

func init() {
	m := newModule("github.com/segmentio/ksuid")
	check(m, ksuid.Max, ksuid.New()).calls("Next", func(v ksuid.KSUID) any { return v.Next() }).filled(5)
	check(m, ksuid.CompressedSet{}, ksuid.Compress(ksuid.Nil, ksuid.Max, ksuid.New()))
}

func init() {
	m := newModule("github.com/ipfs/go-cid")
	v1 := cid.MustParse("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")
	v0 := cid.MustParse("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
	check(m, v0, v1).calls("Prefix", func(v cid.Cid) any {
		if !v.Defined() {
			return nil
		}
		return v.Prefix()
	})
	check(m, v0.Prefix(), v1.Prefix()).calls("Bytes", func(v cid.Prefix) any { return v.Bytes() }).filled(3)
}
