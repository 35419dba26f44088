package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"example.com/parallel/internal/transport"
)

// origin is the environment and the working directory that this process had when a launcher
// first started a worker. Workers that are started later have the same, so that those of one
// pool do not differ. The zero value is ready.
type origin struct {
	once sync.Once
	env  []string
	dir  string // empty: it could not be known
}

func (o *origin) init() {
	o.once.Do(func() {
		o.env = slices.Clip(os.Environ())
		o.dir, _ = os.Getwd()
	})
}

// workingDir returns the directory that a worker starts in, as exec.Cmd has it.
func (o *origin) workingDir(dir string) (string, error) {
	what := "ProcessPool.Dir"
	if !filepath.IsAbs(dir) {
		now, err := os.Getwd()
		switch {
		case err == nil && now != o.dir && o.dir != "":
			if dir == "" {
				what = "the working directory at the first start of a worker"
			}
			dir = filepath.Join(o.dir, dir)
		case dir == "": // to be inherited: its name need not be reachable
			return "", nil
		}
	}
	if _, err := os.Stat(dir); err != nil { // exec would blame the executable
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return dir, nil
}

// environment returns the environment of a worker, and what the worker is to put back in it,
// for whatever it starts itself: variables that are for the worker alone.
func (o *origin) environment(s transport.Spec) (env, restore []string) {
	env = o.env // clipped: append copies
	set := func(name string, value int64) {
		if _, ok := lookup(s.Env, name); ok {
			return // the user's, and not only for the worker
		}
		env = append(env, name+"="+strconv.FormatInt(value, 10))
		if old, ok := lookup(o.env, name); ok {
			name += "=" + old
		}
		restore = append(restore, name)
	}
	if s.GOMAXPROCS > 0 {
		set("GOMAXPROCS", int64(s.GOMAXPROCS))
	}
	if s.MaxMemoryBytes > 0 {
		set("GOMEMLIMIT", s.MaxMemoryBytes/10*9)
	}
	return append(env, s.Env...), restore
}

// lookup is the value of a variable. Of several the last one counts.
func lookup(env []string, name string) (value string, ok bool) {
	for _, v := range slices.Backward(env) {
		if n, value, found := strings.Cut(v, "="); found && n == name {
			return value, true
		}
	}
	return "", false
}

// withRestore appends to a mark what is to be put back.
func withRestore(mark string, restore []string) string {
	for _, v := range restore {
		mark += " " + strconv.Quote(v)
	}
	return mark
}

// restoreEnvironment puts back what a mark says, which withRestore has made. It returns the
// mark without.
func restoreEnvironment(mark string) (string, error) {
	mark, rest, more := strings.Cut(mark, " ")
	for more {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", err
		}
		v, err := strconv.Unquote(quoted)
		if err != nil {
			return "", err
		}
		if name, value, had := strings.Cut(v, "="); had {
			err = os.Setenv(name, value)
		} else {
			err = os.Unsetenv(name)
		}
		if err != nil {
			return "", err
		}
		_, rest, more = strings.Cut(rest[len(quoted):], " ")
	}
	return mark, nil
}
