package diagnostics

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"storehub/netcheck"
)

// SchemaVersion is the number in every report and facts file.
const SchemaVersion = 1

// proof is what a rule found. Zero fields leave the rule's own value standing.
type proof struct {
	severity   Severity
	confidence float64
	since      time.Time
	title      string
	evidence   []string
	ruledOut   []string
	remedy     []string // after the rule's own
	targets    []string
	alone      bool // it harms nothing else here, so it explains nothing
	flapping   *Flapping
}

// rule is one finding that can be made. DependsOn are findings that explain this
// one: while one of them stands, this one only looks wrong.
type rule struct {
	code      string
	severity  Severity
	title     string
	dependsOn []string
	hold      time.Duration // how long it must last before a monitor speaks of it
	remedy    []string
	operator  string // for the shop's staff
	match     func(*facts) *proof
}

// Diagnose is a pure function of its input.
func Diagnose(in Input) Report { return judge(in, rules, find(in, rules)) }

type finding struct {
	*rule
	*proof
}

// find lets every rule look at the facts.
func find(in Input, table []rule) []finding {
	f := gather(in)
	var found []finding
	for i := range table {
		if table[i].match == nil {
			continue
		}
		if p := table[i].match(f); p != nil {
			doubt(f, table[i].code, p)
			found = append(found, finding{&table[i], p})
		}
	}
	return found
}

// judge tells causes from symptoms and orders both.
func judge(in Input, table []rule, found []finding) Report {
	r := Report{
		Schema: SchemaVersion, Store: in.Store, HubVersion: in.Version, StartedAt: in.At.UTC(),
		Verdict: Ready, Causes: []Cause{}, Symptoms: []Symptom{}, Probes: []netcheck.Result{},
	}
	if in.Net != nil {
		r.StartedAt, r.TookMS = in.Net.Started.UTC(), in.Net.Took.Milliseconds()
		r.Probes = append(r.Probes, in.Net.Results...)
	}
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(grade(a), grade(b)) })
	above := explainers()
	if &table[0] != &rules[0] {
		above = closure(table)
	}
	standing := map[string]bool{}
	for _, f := range found {
		standing[f.code] = !f.alone
	}
	root := func(code string) bool {
		for up := range above[code] {
			if standing[up] {
				return false
			}
		}
		return true
	}
	explains := map[string][]string{}
	for _, f := range found {
		if root(f.code) {
			continue
		}
		because := ""
		for _, up := range found { // the principal of the roots that explain it
			if above[f.code][up.code] && standing[up.code] && root(up.code) {
				because = up.code
				break
			}
		}
		r.Symptoms = append(r.Symptoms, Symptom{Code: f.code, Because: because, Targets: orEmpty(f.targets)})
		explains[because] = append(explains[because], f.code)
	}
	for _, f := range found {
		if root(f.code) {
			r.Causes = append(r.Causes, f.cause(in, explains[f.code]))
		}
	}
	for _, c := range r.Causes {
		switch c.Severity {
		case Critical:
			r.Verdict = Blocked
		case Warning:
			if r.Verdict == Ready {
				r.Verdict = Degraded
			}
		}
	}
	return r
}

func (f finding) cause(in Input, explains []string) Cause {
	c := Cause{
		Code: f.code, Severity: f.level(), Confidence: f.confidence, Since: f.since.UTC(), Title: cmp.Or(f.proof.title, f.rule.title),
		Evidence: orEmpty(f.evidence), RuledOut: orEmpty(f.ruledOut), Remedy: slices.Concat([]string{}, f.rule.remedy, f.proof.remedy), Targets: orEmpty(f.targets),
		Explains: orEmpty(explains), Doc: "docs/findings.md#" + f.code, Operator: f.operator,
		Flapping: f.flapping,
	}
	if len(c.Evidence) == 0 { // facts of another origin may lack their words
		c.Evidence = []string{c.Title}
	}
	if c.Confidence == 0 {
		c.Confidence = 0.95
	}
	if f.since.IsZero() {
		c.Since = in.At.UTC()
		if in.At.IsZero() && in.Net != nil {
			c.Since = in.Net.Started.UTC()
		}
	}
	return c
}

func (f finding) level() Severity { return cmp.Or(f.proof.severity, f.rule.severity) }

// grade orders findings: critical before warning before info; within one, the
// table's order, which goes from the cable to the cloud.
func grade(f finding) int {
	return slices.Index([]Severity{Critical, Warning, Info}, f.level())
}

// closure is, for every code, all codes that can explain it, through any chain.
// A link that was not found itself does not break the chain.
func closure(table []rule) map[string]map[string]bool {
	direct := map[string][]string{}
	for _, r := range table {
		direct[r.code] = r.dependsOn
	}
	out := map[string]map[string]bool{}
	for _, r := range table {
		seen := map[string]bool{}
		queue := slices.Clone(r.dependsOn)
		for len(queue) > 0 {
			code := queue[0]
			queue = queue[1:]
			if seen[code] || code == r.code {
				continue
			}
			seen[code] = true
			queue = append(queue, direct[code]...)
		}
		out[r.code] = seen
	}
	return out
}

// explainers is the closure of the rules, which never change.
var explainers = sync.OnceValue(func() map[string]map[string]bool { return closure(rules) })

// orEmpty is a list for JSON: never null, and without what says nothing.
func orEmpty(s []string) []string {
	return slices.DeleteFunc(append([]string{}, s...), func(s string) bool { return s == "" })
}
