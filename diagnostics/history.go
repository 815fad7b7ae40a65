package diagnostics

import (
	"cmp"
	_ "embed"
	"slices"
	"time"
)

// HistorySchema is the JSON schema of a History.
//
//go:embed history.schema.json
var HistorySchema []byte

const (
	// UnwatchedAfter is the silence between two moments after which nobody knows
	// what was in between. A hub that serves writes one every five minutes.
	UnwatchedAfter = 12 * time.Minute
	// settling is how long a symptom may be taken for a cause: the hub's own state
	// is judged at once, what the network says of it comes seconds later.
	settling = 2 * time.Minute
)

// Moment is what a serving hub held to be so at one time. Its report needs no probes.
type Moment struct {
	At     time.Time
	Report Report
}

// Span is one stretch of time in which a cause stood.
type Span struct {
	From     time.Time `json:"from"`
	LastSeen time.Time `json:"last_seen"`
	GoneBy   time.Time `json:"gone_by,omitzero"` // zero: it stands, or nobody saw its end
	Stands   bool      `json:"stands"`
}

// Gap is a stretch of time that nobody watched.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Past is a cause with the times at which it stood. Its words are those of the
// gravest report within the time asked for.
type Past struct {
	Cause
	Spans []Span `json:"spans"`
}

// Recurrence is how often a cause stood in the last day, and how long in all.
type Recurrence struct {
	Times   int   `json:"times"`
	Seconds int64 `json:"seconds"`
}

// Unwatched is the verdict on a time of which nothing is known.
const Unwatched Verdict = "unknown"

// History says what was wrong in a stretch of time, or at one moment of it
// (From equals To).
type History struct {
	Schema     int               `json:"schema"`
	Store      string            `json:"store"`
	HubVersion string            `json:"hub_version"`
	From       time.Time         `json:"from"`
	To         time.Time         `json:"to"`
	SeenAt     time.Time         `json:"seen_at,omitzero"` // of one moment: when the hub last judged before it
	Verdict    Verdict           `json:"verdict"`          // the gravest
	Seconds    map[Verdict]int64 `json:"seconds"`          // how long each verdict stood
	Causes     []Past            `json:"causes"`
	Unwatched  []Gap             `json:"unwatched"`
	Damaged    []string          `json:"damaged"`
}

// Recall is a pure function: what the moments say of the time between from and
// to. now tells what stands from what nobody saw the end of.
func Recall(moments []Moment, from, to, now time.Time) History {
	h := History{Schema: SchemaVersion, From: from.UTC(), To: to.UTC(), Verdict: Unwatched, Seconds: map[Verdict]int64{},
		Causes: []Past{}, Unwatched: []Gap{}, Damaged: []string{}}
	moments = slices.DeleteFunc(slices.Clone(moments), func(m Moment) bool { return m.At.After(now) })
	slices.SortStableFunc(moments, func(a, b Moment) int { return a.At.Compare(b.At) })
	h.watch(moments)
	all := stood(moments, now)
	for code, spans := range all {
		h.keep(moments, code, spans, now)
	}
	for i := range h.Causes {
		h.Causes[i].LastDay = recurrence(all[h.Causes[i].Code], h.To.Add(-24*time.Hour), h.To)
	}
	slices.SortFunc(h.Causes, func(a, b Past) int {
		return cmp.Or(cmp.Compare(severity(a.Severity), severity(b.Severity)), a.Since.Compare(b.Since), cmp.Compare(a.Code, b.Code))
	})
	return h
}

// keep takes in a cause if it stood in the time asked for.
func (h *History) keep(moments []Moment, code string, spans []Span, now time.Time) {
	spans = slices.DeleteFunc(slices.Clone(spans), func(s Span) bool {
		if h.From.Equal(h.To) {
			return !s.covers(h.To)
		}
		return s.From.After(h.To) || s.end(now).Before(h.From)
	})
	if len(spans) == 0 {
		return
	}
	p := Past{Cause: wording(moments, code, h.From, h.To, spans[len(spans)-1]), Spans: spans}
	p.Since = spans[0].From
	h.Causes = append(h.Causes, p)
}

// LastDay is how often each cause stood in the day before now.
func LastDay(moments []Moment, now time.Time) map[string]Recurrence {
	out := map[string]Recurrence{}
	for code, spans := range stood(moments, now) {
		if r := recurrence(spans, now.Add(-24*time.Hour), now); r != nil {
			out[code] = *r
		}
	}
	return out
}

func recurrence(spans []Span, from, to time.Time) *Recurrence {
	var r Recurrence
	for _, s := range spans {
		begin, end := s.From, s.end(to)
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if s.From.After(to) || end.Before(from) {
			continue
		}
		r.Times++
		r.Seconds += int64(end.Sub(begin) / time.Second)
	}
	if r.Times == 0 {
		return nil
	}
	return &r
}

// end is when it is known to be over, or when it was last seen.
func (s Span) end(now time.Time) time.Time {
	switch {
	case s.Stands:
		return now
	case s.GoneBy.IsZero():
		return s.LastSeen
	}
	return s.GoneBy
}

// covers says whether the cause stood at t. Between two moments the earlier
// speaks; one whose end nobody saw is believed as long as the hub would have looked.
func (s Span) covers(t time.Time) bool {
	switch {
	case t.Before(s.From):
		return false
	case s.Stands:
		return true
	case s.GoneBy.IsZero():
		return !t.After(s.LastSeen.Add(UnwatchedAfter))
	}
	return t.Before(s.GoneBy)
}

// stood is, for each code, when it was a cause.
func stood(moments []Moment, now time.Time) map[string][]Span {
	type open struct {
		Span
		symptom bool // it was one just before
	}
	out := map[string][]Span{}
	standing := map[string]*open{}
	before := map[string]bool{} // symptoms of the moment before
	end := func(code string, at time.Time, becameSymptom bool) {
		o := standing[code]
		delete(standing, code)
		if (o.symptom || becameSymptom) && at.Sub(o.From) < settling {
			return // it was another's symptom all along
		}
		out[code] = append(out[code], o.Span)
	}
	for i, m := range moments {
		if i > 0 && m.At.Sub(moments[i-1].At) > UnwatchedAfter {
			for _, code := range sorted(standing) {
				end(code, standing[code].LastSeen, false)
			}
			clear(before)
		}
		symptoms := map[string]bool{}
		for _, s := range m.Report.Symptoms {
			symptoms[s.Code] = true
		}
		here := map[string]bool{}
		for _, c := range m.Report.Causes {
			here[c.Code] = true
			if o := standing[c.Code]; o != nil {
				o.LastSeen = m.At.UTC()
				continue
			}
			from := m.At
			if !c.Since.IsZero() && c.Since.Before(from) && !before[c.Code] {
				from = c.Since
			}
			if past := out[c.Code]; len(past) > 0 && from.Before(past[len(past)-1].end(now)) {
				from = past[len(past)-1].end(now)
			}
			standing[c.Code] = &open{Span{From: from.UTC(), LastSeen: m.At.UTC()}, before[c.Code]}
		}
		for _, code := range sorted(standing) {
			if !here[code] {
				standing[code].GoneBy = m.At.UTC()
				end(code, m.At, symptoms[code])
			}
		}
		before = symptoms
	}
	for _, code := range sorted(standing) {
		last := moments[len(moments)-1].At
		standing[code].Stands = now.Sub(last) <= UnwatchedAfter
		end(code, now, false)
	}
	return out
}

func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// wording is what the reports said of a cause: the gravest and latest of those
// within the time asked for, or the last one before it.
func wording(moments []Moment, code string, from, to time.Time, s Span) Cause {
	var best Cause
	within := false
	for _, m := range moments {
		if m.At.After(s.LastSeen) || m.At.After(to) && best.Code != "" {
			break
		}
		for _, c := range m.Report.Causes {
			if c.Code == code && (!within || severity(c.Severity) <= severity(best.Severity)) {
				best, within = c, !m.At.Before(from)
			}
		}
	}
	return best
}

func severity(s Severity) int { return slices.Index([]Severity{Critical, Warning, Info}, s) }

// watch fills in whose history it is, how long each verdict stood, and what
// nobody watched. A moment speaks until the next, or as long as the hub would
// have looked again.
func (h *History) watch(moments []Moment) {
	took := map[Verdict]time.Duration{}
	gap := func(from, to time.Time) {
		took[Unwatched] += to.Sub(from)
		h.Unwatched = append(h.Unwatched, Gap{from, to})
	}
	at := h.From
	for i, m := range moments {
		until := m.At.Add(UnwatchedAfter).UTC()
		if i+1 < len(moments) && moments[i+1].At.Before(until) {
			until = moments[i+1].At.UTC()
		}
		if h.From.Equal(h.To) {
			if !m.At.After(h.To) && h.To.Before(until) {
				h.SeenAt, h.Verdict, h.Store, h.HubVersion = m.At.UTC(), m.Report.Verdict, m.Report.Store, m.Report.HubVersion
			}
			continue
		}
		begin := m.At.UTC()
		if begin.Before(h.From) {
			begin = h.From
		}
		if until.After(h.To) {
			until = h.To
		}
		if !begin.Before(until) {
			continue
		}
		if at.Before(begin) {
			gap(at, begin)
		}
		took[m.Report.Verdict] += until.Sub(begin)
		h.Store, h.HubVersion, at = m.Report.Store, m.Report.HubVersion, until
		if gravity(m.Report.Verdict) > gravity(h.Verdict) {
			h.Verdict = m.Report.Verdict
		}
	}
	if at.Before(h.To) {
		gap(at, h.To)
	}
	for v, d := range took {
		h.Seconds[v] = int64(d / time.Second)
	}
}

func gravity(v Verdict) int { return slices.Index([]Verdict{Unwatched, Ready, Degraded, Blocked}, v) }
