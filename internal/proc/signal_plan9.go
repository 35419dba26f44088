package proc

import "os"

// SignalNumber is −1: notes are texts.
func SignalNumber(os.Signal) int64 { return -1 }

// Signal is nil.
func Signal(int64) os.Signal { return nil }
