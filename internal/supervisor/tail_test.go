package supervisor

import (
	"strings"
	"testing"
)

func TestTailKeepsWhatSaysMost(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a line of a stack\n", n/18+1) }
	full := long(2 * stderrKept)[:2*stderrKept]
	overflow := "runtime: goroutine stack exceeds 1000000000-byte limit\nruntime: sp=0xc stack=[0xc, 0xd]\nfatal error: stack overflow\n"
	tests := []struct {
		name, text string
		want       []string
		line       string
	}{
		{"empty", "", nil, ""},
		{"short", "one\ntwo\n", []string{"one\ntwo\n"}, "two"},
		{"no newline", "one\ntwo", []string{"one\ntwo"}, "two"},
		{"just kept", full, []string{full}, "a"},
		{"long", "first\n" + long(1<<16) + "last\n", []string{"first\n", "last\n", "…"}, "last"},
		{"crash at once", overflow + long(1<<16) + "exit status 2\n", []string{overflow, "exit status 2"}, "fatal error: stack overflow"},
		{"crash later", "first\n" + long(1<<16) + overflow + long(1<<16) + "last\n", []string{"first\n", overflow, "last\n"}, "fatal error: stack overflow"},
		{"crash at the end", "first\n" + long(1<<16) + overflow + long(500), []string{"first\n", overflow}, "fatal error: stack overflow"},
		{"crash near the end", long(1<<16) + overflow + long(3900), []string{overflow}, "fatal error: stack overflow"},
		{"a panic that was logged before", long(5000) + "panic: handled\n" + long(1<<16) + "fatal error: real\n" + long(1<<16), []string{"fatal error: real\n"}, "fatal error: real"},
		{"signal", long(1<<16) + "SIGSEGV: segmentation violation\n" + long(1<<16), []string{"SIGSEGV: seg"}, "SIGSEGV: segmentation violation"},
		{"no last words", long(1<<16) + "SIGnals are fun\nnot a panic: no\n" + long(1<<16), nil, "a line of a stack"},
	}
	for _, test := range tests {
		for _, step := range []int{1, 7, 4096, 1 << 30} {
			var kept tail
			for rest := []byte(test.text); len(rest) > 0; {
				n := min(step, len(rest))
				kept.write(rest[:n])
				rest = rest[n:]
			}
			got := string(kept.bytes())
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s, %d bytes at a time: %q is not in\n%.200s…", test.name, step, want, got)
				}
			}
			if len(got) > 2*stderrKept+20 {
				t.Errorf("%s: %d bytes are kept", test.name, len(got))
			}
			if len(test.text) <= 2*stderrKept && got != test.text {
				t.Errorf("%s: %q was kept of %q", test.name, got, test.text)
			}
			if line := SummaryLine([]byte(got)); line != test.line {
				t.Errorf("%s: the summary line is %q, want %q", test.name, line, test.line)
			}
			if kept.reset(); len(kept.bytes()) != 0 {
				t.Errorf("%s: %q is left after a reset", test.name, kept.bytes())
			}
		}
	}
}
