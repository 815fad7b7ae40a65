package main

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(configVar) == "" && os.Getenv(abuseVar) == "" {
		os.Exit(m.Run())
	}
	main()
}

// TestMeasureSmall: a till gets its tokens from a hub in a process of its own before,
// under and after a little of each kind of abuse.
func TestMeasureSmall(t *testing.T) {
	b, err := prepare(t.Context(), plan{abuse: 1200 * time.Millisecond, conns: 8}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.system.Close()
	defer b.stub.Close()
	r, err := b.underAbuse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []sold{r.quiet, r.load, r.after} {
		if len(s.took) == 0 || s.refused > 0 || s.memory <= 0 {
			t.Errorf("part %d: %d tokens, %d refused, %d bytes", i, len(s.took), s.refused, s.memory)
		}
	}
	for i, n := range r.wrote {
		if n == 0 {
			t.Errorf("nobody of %q wrote anything", kinds[i].what)
		}
	}
}
