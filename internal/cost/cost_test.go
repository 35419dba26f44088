package cost

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestEstimateLearns(t *testing.T) {
	const us = time.Microsecond
	for _, test := range []struct {
		name   string
		before time.Duration
		n      int
		took   time.Duration
		want   time.Duration
	}{
		{"the first measurement", 0, 10, 100 * us, 10 * us},
		{"nothing was run", 5 * us, 0, 100 * us, 5 * us},
		{"no time has passed", 5 * us, 10, 0, 5 * us},
		{"a clock that went back", 5 * us, 10, -us, 5 * us},
		{"a little dearer", 9 * us, 1, 11 * us, 9 * us},
		{"a little cheaper", 10 * us, 1, 8 * us, 10 * us},
		{"much dearer", 10 * us, 1, 30 * us, 20 * us},
		{"much cheaper", 10 * us, 1, us, us},
		{"dearer by far", us, 1, 1001 * us, 501 * us},
		{"less than a nanosecond", 0, 1000, 100, 0},
		{"absurdly long", 0, 1, math.MaxInt64, math.MaxInt64 / scale},
	} {
		var e Estimate
		e.Set(test.before)
		if raises := e.Raises(test.n, test.took); raises != (test.before > 0 && test.want > test.before) {
			t.Errorf("%s: is said to raise the estimate: %v", test.name, raises)
		}
		e.Learn(test.n, test.took)
		if got := e.Of(1); got != test.want {
			t.Errorf("%s: from %v with %d items in %v to %v, want %v", test.name, test.before, test.n, test.took, got, test.want)
		}
	}
}

func TestEstimateAnswers(t *testing.T) {
	var e Estimate
	if e.Known() || e.Items(time.Second) != 1 || e.Of(5) != 0 || e.Less(time.Hour) || e.Within(1, time.Hour) {
		t.Error("an estimate that knows nothing says something")
	}
	e.Learn(1000, 500*time.Nanosecond) // half a nanosecond each
	if !e.Known() || e.Items(time.Microsecond) != 2000 || e.Of(2000) != time.Microsecond {
		t.Errorf("of half a nanosecond, %d are in 1 µs and 2000 take %v", e.Items(time.Microsecond), e.Of(2000))
	}
	if !e.Within(2000, time.Microsecond) || e.Within(2001, time.Microsecond) || !e.Less(time.Nanosecond) {
		t.Error("half a nanosecond is not what it was")
	}
	e.Set(time.Second)
	if n := e.Items(time.Millisecond); n != 1 {
		t.Errorf("%d items of a second take a millisecond, want at least 1", n)
	}
	if e.Within(2, time.Second) || !e.Within(1, time.Second) || e.Less(time.Second) || !e.Less(2*time.Second) {
		t.Error("a second is not what it was")
	}
	if d := e.Of(math.MaxInt); d <= 0 {
		t.Errorf("very many items take %v", d)
	}
	var other Estimate
	if other.Start(&e); other.Of(1) != time.Second {
		t.Errorf("an estimate that started from another says %v", other.Of(1))
	}
}

func TestFunctionIsTrustedAfterAWhile(t *testing.T) {
	f := Of(1)
	if f != Of(1) || f == Of(2) {
		t.Error("functions are not told apart by their code")
	}
	f.Ended(trustAfter - 1)
	if f.Trusted() {
		t.Error("a function is trusted too early")
	}
	if f.Ended(1); !f.Trusted() {
		t.Error("a function is not trusted although its items have ended well")
	}
	if f.Goexited(); f.Trusted() {
		t.Error("a function that called Goexit is trusted")
	}
}

// TestFunctionsThatShareAPlace learns more functions than there is room for.
func TestFunctionsThatShareAPlace(t *testing.T) {
	for code := range uintptr(10 * len(functions)) {
		f := Of(code + 1)
		if f.code != code+1 {
			t.Fatalf("asked for %d, got %d", code+1, f.code)
		}
		if f != Of(code+1) {
			t.Fatalf("%d is forgotten at once", code+1)
		}
	}
}

func TestSpinIsBounded(t *testing.T) {
	looks := 0
	if !SpinFor(time.Hour, func() bool { looks++; return looks == 3 }) || looks != 3 {
		t.Errorf("%d looks", looks)
	}
	if looks = 0; SpinFor(0, func() bool { looks++; return false }) || looks != 1 {
		t.Errorf("%d looks in no time", looks)
	}
	synctest.Test(t, func(t *testing.T) { // where the clock stands still
		if looks = 0; SpinFor(time.Hour, func() bool { looks++; return false }) || looks != spinRounds {
			t.Errorf("%d looks in a bubble", looks)
		}
		if Clock() >= 0 {
			t.Error("the clock of a bubble is not negative")
		}
	})
}
