package compare

import (
	"os"
	"testing"

	"example.com/parallel"
)

// TestMain is where every worker process begins, since all that are written in
// Go are this test binary, started again. Only one of the roles goes on to
// m.Run.
func TestMain(m *testing.M) {
	parallel.Init()
	if serveRPC() || servePlugin() {
		return
	}
	os.Exit(m.Run())
}
