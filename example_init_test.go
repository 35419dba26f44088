package parallel_test

import (
	"context"
	"fmt"
	"strings"

	"example.com/parallel"
)

func init() { parallel.Register(wordCount) }

// wordCount counts the words in text.
func wordCount(ctx context.Context, text string) (int, error) {
	return len(strings.Fields(text)), nil
}

// A whole program. Its worker processes are the program itself, started again:
// in them Init does not return, so that only the parent goes on to the Map.
func ExampleInit() { // in the program: func main
	parallel.Init()

	texts := []string{"to be or not to be", "that is the question"}
	counts, err := parallel.Map(context.Background(), texts, wordCount, parallel.Processes(2))
	fmt.Println(counts, err)
	// Output: [6 4] <nil>
}
