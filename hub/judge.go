package hub

import (
	"slices"

	"storehub/diagnostics"
)

// tracker notices when the diagnosis has changed.
type tracker struct{ last []string }

// Update judges, and reports whether another set of causes stands.
func (t *tracker) Update(in diagnostics.Input) (diagnostics.Report, bool) {
	r := diagnostics.Diagnose(in)
	now := codes(r.Causes)
	changed := !slices.Equal(now, t.last)
	t.last = now
	return r, changed
}
