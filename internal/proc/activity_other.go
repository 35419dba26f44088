//go:build !linux

package proc

import "example.com/parallel/internal/transport"

// activity is not known here.
func activity(int) transport.Activity { return transport.Activity{} }
