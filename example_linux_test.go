package parallel_test

import (
	"context"
	"errors"
	"fmt"

	"example.com/parallel"
)

func init() { parallel.Register(thumbnail) }

// thumbnail returns the mean brightness of an image of size × size points. Its
// memory grows with the image.
func thumbnail(ctx context.Context, size int) (byte, error) {
	var rows [][]byte
	for y := range size {
		row := make([]byte, size)
		for x := range row {
			row[x] = byte(x ^ y)
		}
		rows = append(rows, row)
	}
	sum := 0
	for _, row := range rows {
		for _, point := range row {
			sum += int(point)
		}
	}
	return byte(sum / (size * size)), nil
}

// One image is far larger than the others, and would take the machine's memory.
// Its worker process is ended at the limit; the others are not concerned.
func Example_errMemoryLimit() {
	pool := &parallel.ProcessPool{Size: 2, MaxMemoryBytes: 256 << 20}
	defer pool.Close()
	sizes := []int{64, 256, 1 << 17, 128} // the third takes 16 GiB
	means, err := parallel.Map(context.Background(), sizes, thumbnail, parallel.On(pool), parallel.KeepGoing())
	var item *parallel.ItemError
	if errors.As(err, &item) && errors.Is(err, parallel.ErrMemoryLimit) {
		fmt.Println(means, "but image", item.Index, "is too large")
	}
	// Output: [31 127 0 63] but image 2 is too large
}
