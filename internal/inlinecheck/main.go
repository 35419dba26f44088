// Command inlinecheck checks that the loops of Map, ForEach and MapSeq, and those
// of a worker process, call no function for an item but the user's:
//
//	go run ./internal/inlinecheck
//
// These loops are generic, so the compiler instantiates them in the user's
// package. There it can inline a function of another package only if the package
// of the loop exports its body. A package does so for what it has itself inlined
// into a plain function. A benchmark inside the package does not see the
// difference: it sees calls inlined that are real ones in every program. The
// remedy is a plain function of one line beside the loop, which makes the call.
//
// The command builds testdata/user as a module of its own, for linux/amd64
// on any machine, and disassembles the loops. It fails if one of them calls what
// table.go does not allow, or is missing.
package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "inlinecheck:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "inlinecheck")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	module, err := build(dir)
	if err != nil {
		return err
	}
	dump, err := output(dir, nil, "go", "tool", "objdump", "-s", "^"+regexp.QuoteMeta(module)+`.*\[go\.shape\.`, "user")
	if err != nil {
		return err
	}
	instances, err := parse(bytes.NewReader(dump))
	if err != nil {
		return err
	}
	report, faults := check(functions, instances, module)
	fmt.Print(report)
	if len(faults) > 0 {
		return fmt.Errorf("\n%s\n\nA call for each item makes tiny items slow. Give the package of the loop a plain function of one line\n"+
			"that makes the call, or, if it is a slow path, enter it in internal/inlinecheck/table.go", strings.Join(faults, "\n"))
	}
	return nil
}

// build builds testdata/user in dir, as a module that requires this one, and
// returns this module's path.
func build(dir string) (module string, err error) {
	out, err := output(".", []string{"GOWORK=off"}, "go", "list", "-m", "-f", "{{.Path}}\n{{.Dir}}")
	if err != nil {
		return "", err
	}
	module, root, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	mod = regexp.MustCompile(`(?m)^module .*$`).ReplaceAllLiteral(mod, []byte("module example.org/user"))
	mod = fmt.Appendf(mod, "\nrequire %s v0.0.0\nreplace %s => %q\n", module, module, root)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), mod, 0o666); err != nil {
		return "", err
	}
	for from, to := range map[string]string{
		"go.sum": "go.sum",
		"internal/inlinecheck/testdata/user/main.go": "main.go",
	} {
		data, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o666); err != nil {
			return "", err
		}
	}
	env := []string{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=mod"}
	_, err = output(dir, env, "go", "build", "-buildvcs=false", "-o", "user", ".")
	return module, err
}

// output runs a command in dir and returns what it prints.
func output(dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, &stderr)
	}
	return out, nil
}

// check compares the instances with the table. It returns a line for each
// function that says what its instances call, and what is wrong.
func check(table []function, instances []instance, module string) (report string, faults []string) {
	var lines strings.Builder
	for _, f := range table {
		count, called, refused := 0, map[string]bool{}, map[string]int{}
		for _, in := range instances {
			if short(in.symbol, module) != f.name {
				continue
			}
			count++
			indirect := 0
			for _, c := range in.calls {
				name := short(c.symbol, module)
				switch {
				case c.symbol == "":
					if indirect++; indirect > f.indirect {
						refused[c.at+": "+f.name+" calls through another function value or an interface"]++
					}
				case allowed(name, always):
				case allowed(name, f.calls):
					called[name] = true
				default:
					refused[c.at+": "+f.name+" calls "+withoutBrackets(c.symbol)]++
				}
			}
		}
		if count < f.instances {
			faults = append(faults, fmt.Sprintf("%s: found %d instances, not %d: has it been renamed, or is it inlined itself?", f.name, count, f.instances))
		}
		for _, fault := range slices.Sorted(maps.Keys(refused)) {
			faults = append(faults, fmt.Sprintf("%s (in %d of %d instances)", fault, refused[fault], count))
		}
		fmt.Fprintf(&lines, "%-22s %d instances, which call: %s\n", f.name, count, strings.Join(slices.Sorted(maps.Keys(called)), " "))
	}
	return lines.String(), faults
}

// allowed reports whether one of patterns is name, or ends in an asterisk and
// begins as name does.
func allowed(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return name == p || open && strings.HasPrefix(name, prefix)
	})
}
