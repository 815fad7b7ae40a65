package diagnostics

import (
	"slices"
	"time"
)

// Tracker is Diagnose with a memory: it knows since when a finding stands, and
// does not speak of one that comes and goes within its hold time. The zero value
// is ready. It is not for several goroutines at once.
type Tracker struct {
	since map[string]time.Time // by code, for findings of the last run
	told  string               // what the last changed report said
}

// Update judges the input. changed says that a cause came, went or changed its
// grade since the last report for which it was true.
func (t *Tracker) Update(in Input) (r Report, changed bool) {
	found := find(in, rules)
	since := make(map[string]time.Time, len(found))
	for i, f := range found {
		start := in.At
		if before, ok := t.since[f.code]; ok && before.Before(start) {
			start = before
		}
		if !f.since.IsZero() && f.since.Before(start) {
			start = f.since // the fact itself says so
		}
		since[f.code] = start
		found[i].since = start
	}
	t.since = since
	held := slices.DeleteFunc(found, func(f finding) bool { return in.At.Sub(since[f.code]) < f.hold })
	r = judge(in, rules, held)
	told := string(r.Verdict)
	for _, c := range r.Causes {
		told += " " + c.Code + ":" + string(c.Severity)
	}
	changed = told != t.told
	t.told = told
	return r, changed
}
