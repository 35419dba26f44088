package main

import (
	"bufio"
	"io"
	"regexp"
	"strings"
)

// instance is one instance of a generic function, as it stands in an executable.
type instance struct {
	symbol string // with its package and type arguments
	calls  []call
}

// call is one CALL instruction, or a jump to another function.
type call struct {
	symbol string // as the instance's; empty for a call through a function value
	at     string // file:line
}

var (
	textLine = regexp.MustCompile(`^TEXT (.*)\(SB\)( |$)`)
	callLine = regexp.MustCompile(`^\s*(\S+)\t.*\t(CALL|JMP) (.*?)\s*$`)
)

// parse reads what go tool objdump prints.
func parse(r io.Reader) ([]instance, error) {
	var found []instance
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := textLine.FindStringSubmatch(lines.Text()); m != nil {
			found = append(found, instance{symbol: m[1]})
			continue
		}
		m := callLine.FindStringSubmatch(lines.Text())
		if m == nil || len(found) == 0 {
			continue
		}
		at, jump, target := m[1], m[2] == "JMP", m[3]
		last := &found[len(found)-1]
		symbol, direct := strings.CutSuffix(target, "(SB)")
		switch {
		case jump && (!direct || symbol == last.symbol): // within the function
		case direct:
			last.calls = append(last.calls, call{symbol, at})
		case strings.HasPrefix(target, "0x") && !strings.Contains(target, "("): // an address without a symbol
			last.calls = append(last.calls, call{target, at})
		default: // a register, or memory at one
			last.calls = append(last.calls, call{"", at})
		}
	}
	return found, lines.Err()
}

// short is a symbol as function.name has it, if it belongs to module, else with
// its package, and without type arguments in any case.
func short(symbol, module string) string {
	name := withoutBrackets(strings.TrimSuffix(symbol, ".abi0"))
	if rest, ok := strings.CutPrefix(name, module); ok && rest != "" && (rest[0] == '.' || rest[0] == '/') {
		name = rest[strings.LastIndexByte(rest, '/')+1:]
		name = name[strings.IndexByte(name, '.')+1:]
	}
	return name
}

// withoutBrackets is s without what stands in square brackets.
func withoutBrackets(s string) string {
	var b strings.Builder
	depth := 0
	for _, c := range s {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0:
			b.WriteRune(c)
		}
	}
	return b.String()
}
