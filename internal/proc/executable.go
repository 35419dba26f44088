package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// initialDir is this process's first working directory, if it may be needed to find the
// executable.
var initialDir = func() (dir string) {
	if _, err := os.Executable(); err != nil {
		dir, _ = os.Getwd()
	}
	return dir
}()

// executable is the file that a worker runs: this program's. On Linux a link of the kernel's
// stays valid when the file is replaced or removed while the program runs. Without /proc the
// file is found by name.
func (l *Local) executable() (string, error) {
	const link = "/proc/self/exe"
	if runtime.GOOS == "linux" && l.fault("proc") == nil {
		if _, err := os.Lstat(link); err == nil {
			return link, nil
		}
	}
	path, err := os.Executable()
	if err == nil {
		return path, nil
	}
	if path = executedAs(); path == "" {
		return "", fmt.Errorf("the file of this program is not known: %w", err)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(initialDir, path)
	}
	return path, nil
}
