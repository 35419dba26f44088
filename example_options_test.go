package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/parallel"
)

func init() {
	parallel.Register(backtrack)
	parallel.Register(convert)
	parallel.Register(translate)
	parallel.Register(greet)
}

// A form with two typing errors: all of them are reported at once, and the
// numbers that are right can be used.
func ExampleKeepGoing() {
	fields := []string{"12", "l7", "40", "8O"}
	parse := func(ctx context.Context, field string) (int, error) { return strconv.Atoi(field) }
	numbers, err := parallel.Map(context.Background(), fields, parse, parallel.KeepGoing())
	fmt.Println(numbers)
	fmt.Println(err)
	// Output:
	// [12 0 40 0]
	// parallel: item 1: strconv.Atoi: parsing "l7": invalid syntax
	// parallel: item 3: strconv.Atoi: parsing "8O": invalid syntax
}

// backtrack reports whether text matches (a+)+b. As many engines for regular
// expressions do, it tries every way: 2ⁿ ways for n letters.
func backtrack(ctx context.Context, text string) (bool, error) {
	var match func(text string, groups int) bool
	match = func(text string, groups int) bool {
		if text == "b" && groups > 0 {
			return true
		}
		for i := 0; i < len(text) && text[i] == 'a'; i++ {
			if match(text[i+1:], groups+1) {
				return true
			}
		}
		return false
	}
	return match(text, 0), nil
}

// A match that would take until the end of the world, and ignores its context.
// In a worker process it can be ended all the same.
func ExampleItemTimeout() {
	pool := &parallel.ProcessPool{KillDelay: 10 * time.Millisecond}
	defer pool.Close()
	texts := []string{"aaab", "ab", strings.Repeat("a", 80), "c"}
	matches, err := parallel.Map(context.Background(), texts, backtrack,
		parallel.On(pool), parallel.KeepGoing(), parallel.ItemTimeout(500*time.Millisecond))
	var failed *parallel.ItemError
	if errors.As(err, &failed) && errors.Is(err, context.DeadlineExceeded) {
		fmt.Println(matches, "but text", failed.Index, "took too long")
	}
	// Output: [true true false false] but text 2 took too long
}

// convert stands for a program that crashes now and then, for reasons of its
// own: here when it finds no file that it has left behind the time before.
func convert(ctx context.Context, dir string) (string, error) {
	marker := filepath.Join(dir, "tried")
	if _, err := os.Stat(marker); err != nil {
		_ = os.WriteFile(marker, nil, 0o600)
		os.Exit(1)
	}
	return "converted", nil
}

// An item whose worker process dies may be run again, if it is one that can be.
func ExampleRetry() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	results, err := parallel.Map(context.Background(), []string{dir}, convert, parallel.Processes(1), parallel.Retry(1))
	fmt.Println(results, err)
	// Output: [converted] <nil>
}

// With Unordered a slow item holds no other up. Here the slow one even waits
// until the loop has had the fast one.
func ExampleUnordered() {
	hadFast := make(chan struct{})
	fetch := func(ctx context.Context, mirror string) (string, error) {
		if mirror == "slow" {
			<-hadFast
		}
		return "from the " + mirror + " mirror", nil
	}
	mirrors := slices.Values([]string{"slow", "fast"})
	for page, err := range parallel.MapSeq(context.Background(), mirrors, fetch, parallel.Goroutines(2), parallel.Unordered()) {
		fmt.Println(page, err)
		if strings.Contains(page, "fast") {
			close(hadFast)
		}
	}
	// Output:
	// from the fast mirror <nil>
	// from the slow mirror <nil>
}

// A progress bar. It needs no lock: there are never two calls at once.
func ExampleOnProgress() {
	bar := func(done, total int) {
		fmt.Printf("[%-8s] %d%%\n", strings.Repeat("#", 8*done/total), 100*done/total)
	}
	sleep := func(ctx context.Context, d time.Duration) error {
		time.Sleep(d) // allowed: it stands for work
		return nil
	}
	naps := []time.Duration{4, 3, 2, 1}
	err := parallel.ForEach(context.Background(), naps, sleep, parallel.OnProgress(bar))
	fmt.Println(err)
	// Output:
	// [##      ] 25%
	// [####    ] 50%
	// [######  ] 75%
	// [########] 100%
	// <nil>
}

// translate reads the dictionary that the whole call shares.
func translate(ctx context.Context, word string) (string, error) {
	dictionary, ok := parallel.Shared[map[string]string](ctx)
	if !ok {
		return "", errors.New("no dictionary was shared")
	}
	return dictionary[word], nil
}

// A captured variable cannot cross into a worker process. A shared value can:
// it is sent once to each worker, not with each item.
func ExampleShare() {
	dictionary := map[string]string{"good": "god", "morning": "morgen"}
	words, err := parallel.Map(context.Background(), []string{"good", "morning"}, translate,
		parallel.Processes(2), parallel.Share(dictionary))
	fmt.Println(words, err)
	// Output: [god morgen] <nil>
}

// settings is shared by ExampleShared.
type settings struct {
	Greeting string
	Shout    bool
}

// greet does without settings if there are none.
func greet(ctx context.Context, name string) (string, error) {
	s, ok := parallel.Shared[settings](ctx)
	if !ok {
		s.Greeting = "Hi"
	}
	text := s.Greeting + ", " + name
	if s.Shout {
		text = strings.ToUpper(text) + "!"
	}
	return text, nil
}

// Shared gives the value back under the type that it was shared with, and says
// whether there is one.
func ExampleShared() {
	ctx, names := context.Background(), []string{"Ada"}
	for _, options := range [][]parallel.Option{
		{},
		{parallel.Share(settings{"Hello", true})},
		{parallel.Share(settings{"Hello", true}), parallel.Processes(1)},
		{parallel.Share("of another type"), parallel.Processes(1)},
	} {
		greetings, err := parallel.Map(ctx, names, greet, options...)
		fmt.Println(greetings, err)
	}
	// Output:
	// [Hi, Ada] <nil>
	// [HELLO, ADA!] <nil>
	// [HELLO, ADA!] <nil>
	// [Hi, Ada] <nil>
}
