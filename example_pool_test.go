package parallel_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"example.com/parallel"
)

func init() {
	parallel.Register(classify)
	parallel.Register(localTime)
}

// model is loaded once in each process that needs it.
var model = sync.OnceValue(func() map[string]string {
	fmt.Println("loading the model")
	return map[string]string{"tomcat": "cat", "poodle": "dog"}
})

// classify needs the model, which takes long to load.
func classify(ctx context.Context, animal string) (string, error) { return model()[animal], nil }

// The workers of a pool stay between calls, and with them what they have
// loaded. Only the first call waits for that.
func ExampleOn() {
	pool := &parallel.ProcessPool{Size: 1}
	for _, animals := range [][]string{{"poodle"}, {"tomcat", "poodle"}} {
		if _, err := parallel.Map(context.Background(), animals, classify, parallel.On(pool)); err != nil {
			fmt.Println(err)
		}
	}
	pool.Close() // after it, all that the workers have printed is there
	fmt.Println("workers started:", pool.Stats().Started)
	// Output:
	// loading the model
	// workers started: 1
}

// localTime returns the hour at the place that the environment names.
func localTime(ctx context.Context, unix int64) (string, error) {
	place, err := time.LoadLocation(os.Getenv("PLACE"))
	if err != nil {
		return "", err
	}
	return time.Unix(unix, 0).In(place).Format("15:04"), nil
}

// The fields say what workers are given and when they are replaced. The zero
// value would do as well.
func ExampleProcessPool() {
	pool := &parallel.ProcessPool{
		Size:         2,                     // not the whole machine
		MaxItems:     1000,                  // the library leaks
		IdleTimeout:  10 * time.Second,      // then an idle worker ends
		Env:          []string{"PLACE=UTC"}, // for workers only
		Stderr:       io.Discard,            // it also talks too much
		StartTimeout: 30 * time.Second,
	}
	defer pool.Close()
	times, err := parallel.Map(context.Background(), []int64{0, 45296}, localTime, parallel.On(pool))
	fmt.Println(times, err)
	// Output: [00:00 12:34] <nil>
}

// Close is for the end of the program, or of the part of it that owns the pool.
// It waits for calls that others have under way.
func ExampleProcessPool_Close() {
	pool := &parallel.ProcessPool{}
	results, err := parallel.Map(context.Background(), []int{1, 2, 3}, double, parallel.On(pool))
	fmt.Println(results, err)
	err = pool.Close()
	fmt.Println(pool.Stats().Workers, err)
	// Output:
	// [2 4 6] <nil>
	// 0 <nil>
}

// Stats is for a page of metrics: what the pool has done since its first use.
func ExampleProcessPool_Stats() {
	pool := &parallel.ProcessPool{Size: 1}
	defer pool.Close()
	for range 3 {
		if _, err := parallel.Map(context.Background(), []int{1, 2, 3}, double, parallel.On(pool)); err != nil {
			fmt.Println(err)
		}
	}
	stats := pool.Stats()
	fmt.Println("workers:", stats.Workers)
	fmt.Println("items:", stats.Items)
	// Output:
	// workers: 1
	// items: 9
}

// The counters tell a pool that crashes often from one that does not.
func ExamplePoolStats() {
	pool := &parallel.ProcessPool{Size: 1, Stderr: io.Discard}
	files := [][]byte{[]byte("%PDF-1.7 /Page 1"), []byte("GIF89a")}
	_, err := parallel.Map(context.Background(), files, pageCount, parallel.On(pool))
	fmt.Println("failed:", err != nil)
	pool.Close() // a worker is counted as dead when it has gone

	var stats parallel.PoolStats = pool.Stats()
	fmt.Printf("items %d, failed %d; workers started %d, died %d\n", stats.Items, stats.Failed, stats.Started, stats.Died)
	// Output:
	// failed: true
	// items 2, failed 1; workers started 1, died 1
}
