package supervisor

import (
	"testing"
	"time"

	"example.com/parallel/internal/transport"
)

// TestPatience looks at a worker every lookSilent, and counts the looks until it is given up.
func TestPatience(t *testing.T) {
	const most = 10 * time.Second
	idle := func(int) transport.Activity { return transport.Activity{Known: true} }
	starved := func(int) transport.Activity { return transport.Activity{Known: true, Eager: true} }
	for _, test := range []struct {
		name string
		did  func(look int) transport.Activity
		most time.Duration
		want int
	}{
		{"it waits for something", idle, most, 1 + int(maxSilence/lookSilent)},
		{"it is stopped", func(int) transport.Activity { return transport.Activity{Known: true, Stopped: true} }, most, 1 + int(maxSilence/lookSilent)},
		{"it uses a processor", func(look int) transport.Activity {
			return transport.Activity{Known: true, Eager: true, CPU: time.Duration(look)}
		}, most, 1 + int(maxSilence/lookSilent)},
		{"it gets no processor", starved, most, 1 + int(most/lookSilent)},
		{"it gets one now and then", func(look int) transport.Activity {
			return transport.Activity{Known: true, Eager: true, CPU: time.Duration(look / 2)}
		}, most, 2 * int(maxSilence/lookSilent)},
		{"nothing is known of it", func(int) transport.Activity { return transport.Activity{} }, most, 1 + int(most/lookSilent)},
		{"there is little time", idle, lookSilent, 2},
	} {
		var p patience
		now, looks := time.Unix(0, 0), 1
		for ; !p.look(now, test.did(looks), test.most); looks++ {
			now = now.Add(lookSilent)
		}
		if looks != test.want {
			t.Errorf("%s: %d looks, want %d", test.name, looks, test.want)
		}
	}
}

// TestPatienceForgivesLongPauses has this process look only now and then.
func TestPatienceForgivesLongPauses(t *testing.T) {
	var p patience
	now := time.Unix(0, 0)
	for look := 0; look < int(maxSilence/(2*lookSilent)); look++ {
		if p.look(now, transport.Activity{Known: true}, time.Hour) {
			t.Errorf("given up at look %d", look)
		}
		now = now.Add(time.Minute)
	}
	if !p.look(now, transport.Activity{Known: true}, time.Hour) {
		t.Error("it is not given up at all")
	}
	p.reset()
	if p.look(now.Add(time.Minute), transport.Activity{Known: true}, time.Hour) {
		t.Error("given up when it has just done something")
	}
}
