package diagnostics

import (
	"slices"
	"time"
)

const (
	// A finding that is there briefly flapTimes within flapWithin comes and goes. It is one
	// cause from then on, whether it is there at the moment or not.
	flapTimes  = 3
	flapWithin = time.Hour
	// flapLeast: what is over sooner is one exchange that failed, and no spell.
	flapLeast = 5 * time.Second
	// calmAfter: for so long without a sign, it has ended.
	calmAfter = 30 * time.Minute
	// steadyAfter: for so long without a break, it is there.
	steadyAfter = 15 * time.Minute
)

// Flapping says how a cause comes and goes. Its severity then is a warning at
// most, and this the one it has while it is there.
type Flapping struct {
	Times    int       `json:"times"`
	Since    time.Time `json:"since"`
	LastSeen time.Time `json:"last_seen"`
	Present  bool      `json:"present"`
	Severity Severity  `json:"severity"`
}

// Tracker is Diagnose with a memory: it knows since when a finding stands, does
// not speak of one that ends within its hold time, and speaks once of one that
// comes and goes. The zero value is ready. It is not for several goroutines at once.
type Tracker struct {
	known map[string]*tracked // by code
	told  string              // what the last changed report said
}

// tracked is one finding over time.
type tracked struct {
	finding           // as it was last found
	present bool      // it was found in the last run
	seen    time.Time // when it was last found
	// spells are the stretches of the last hour in which it was found; the last
	// one is open while it is present.
	spells   []spell
	flapping bool
	first    time.Time // of the spells since it flaps
	times    int
}

type spell struct{ from, to time.Time }

// Update judges the input. changed says that a cause came, went, changed its
// grade or began to come and go since the last report for which it was true.
func (t *Tracker) Update(in Input) (r Report, changed bool) {
	if t.known == nil {
		t.known = map[string]*tracked{}
	}
	now := map[string]bool{}
	for _, f := range find(in, rules) {
		now[f.code] = true
		k := t.known[f.code]
		if k == nil {
			k = &tracked{}
			t.known[f.code] = k
		}
		k.found(f, in.At)
	}
	for code, k := range t.known {
		if !now[code] {
			k.missed(in.At)
		}
		if k.settle(in.At); k.forgotten() {
			delete(t.known, code)
		}
	}
	r = judge(in, rules, t.held(in.At))
	told := string(r.Verdict)
	for _, c := range r.Causes {
		told += " " + c.Code + ":" + string(c.Severity)
		if c.Flapping != nil {
			told += "~"
		}
	}
	changed = told != t.told
	t.told = told
	return r, changed
}

// held are the findings to speak of, in the table's order.
func (t *Tracker) held(at time.Time) []finding {
	var out []finding
	for i := range rules {
		k := t.known[rules[i].code]
		switch {
		case k == nil:
		case k.flapping:
			f := k.flap()
			f.alone = f.alone || !k.present && t.outlived(k.code, at)
			out = append(out, f)
		case k.present && at.Sub(k.since) >= k.hold:
			out = append(out, k.finding)
		}
	}
	return out
}

// outlived says that something which this finding would explain stands although
// the finding is away: then it is no explanation.
func (t *Tracker) outlived(code string, at time.Time) bool {
	for _, k := range t.known {
		if k.present && explainers()[k.code][code] && at.Sub(k.since) >= steadyAfter {
			return true
		}
	}
	return false
}

func (k *tracked) found(f finding, at time.Time) {
	start := at
	if n := len(k.spells); k.present && n > 0 && k.spells[n-1].from.Before(at) {
		start = k.spells[n-1].from
	} else {
		k.spells = append(k.spells, spell{from: at, to: at})
		k.times++
	}
	k.spells[len(k.spells)-1].to = at
	if !f.since.IsZero() && f.since.Before(start) {
		start = f.since // the fact itself says so
	}
	f.since = start
	k.finding, k.present, k.seen = f, true, at
}

// missed: the spell has lasted until it was seen to be over.
func (k *tracked) missed(at time.Time) {
	if k.present {
		k.spells[len(k.spells)-1].to = at
	}
	k.present = false
}

// settle decides whether the finding flaps.
func (k *tracked) settle(at time.Time) {
	k.spells = slices.DeleteFunc(k.spells, func(s spell) bool {
		old := at.Sub(s.to)
		return old > flapWithin || old < -flapWithin // the clock was set
	})
	var stood time.Duration
	short := 0 // a longer one is told as what it is
	for i, s := range k.spells {
		d := s.to.Sub(s.from)
		open := k.present && i == len(k.spells)-1
		if stood += d; d < steadyAfter && (open || d >= flapLeast) {
			short++
		}
	}
	steady := k.present && at.Sub(k.since) >= steadyAfter
	calm := !k.present && at.Sub(k.seen) >= calmAfter
	switch {
	case steady || calm:
		k.flapping = false
	case !k.flapping && short >= flapTimes && stood >= k.hold:
		k.flapping, k.times, k.first = true, short, k.spells[0].from
	}
	if calm {
		k.spells = nil
	}
}

func (k *tracked) forgotten() bool { return !k.present && !k.flapping && len(k.spells) == 0 }

// flap is the finding as one that comes and goes.
func (k *tracked) flap() finding {
	p := *k.proof
	p.flapping = &Flapping{Times: k.times, Since: k.first.UTC(), LastSeen: k.seen.UTC(), Present: k.present, Severity: k.level()}
	if k.level() == Critical {
		p.severity = Warning // payments fail now and then; while they do, /v1/status says so
	}
	p.since = k.first
	return finding{k.rule, &p}
}
