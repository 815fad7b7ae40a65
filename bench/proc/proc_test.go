package proc

import (
	"os"
	"runtime"
	"strconv"
	"testing"
)

func TestParseStat(t *testing.T) {
	for text, want := range map[string]Stat{
		// A name may hold spaces and parentheses.
		"7 (a) b (c) S 2 7 5 0 -1 0 0 0 0 0 150 50 30 20 20 0 1": {Name: "a) b (c", Parent: "2", Session: "5", Own: 2, Children: 0.5},
	} {
		if got, ok := parseStat([]byte(text)); !ok || got != want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "7 (a) S 2 7 5", "7 (a) S 2 7 5 0 -1 0 0 0 0 0 x 50 30 20 20 0 1"} {
		if got, ok := parseStat([]byte(text)); ok {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestThisMachine(t *testing.T) {
	if m := Describe(); m.CPUs < 1 || m.Go != runtime.Version() {
		t.Errorf("%+v", m)
	}
	if runtime.GOOS != "linux" {
		t.Log("only Linux tells more")
		return
	}
	if n := RSSAnon("self"); n < 1<<16 {
		t.Errorf("this process has %d bytes", n)
	}
	if n := RSSAnon("0"); n != -1 {
		t.Errorf("a process that is not there has %d bytes", n)
	}
	self, known := ReadStat("self")
	if !known || self.Name == "" || !self.In(self.Session) || self.In("none") {
		t.Errorf("%+v, %v", self, known)
	}
	// One that leads a session of its own belongs to that of its parent too.
	if s := (Stat{Session: "its own", Parent: strconv.Itoa(os.Getpid())}); !s.In(self.Session) || s.In("none") {
		t.Errorf("%+v is not taken for ours", s)
	}
	all, ok := Others(func(Stat) float64 { return 0 })
	less, still := Others(func(s Stat) float64 { return s.Own })
	if !ok || !still || all <= 0 || less >= all {
		t.Errorf("all %v (%v), without those that run %v (%v)", all, ok, less, still)
	}
}
