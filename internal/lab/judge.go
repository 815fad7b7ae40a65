package lab

import (
	"fmt"
	"slices"
	"strings"

	"storehub/diagnostics"
	"storehub/netcheck"
)

// judge says why a report is the wrong answer to a row; "" is right.
func judge(r Row, got diagnostics.Report, exit int) string {
	causes := loud(got)
	var codes []string
	for _, c := range causes {
		codes = append(codes, c.Code)
	}
	if r.Info != "" && !slices.ContainsFunc(got.Causes, func(c diagnostics.Cause) bool { return c.Code == r.Info }) {
		return "does not mention " + r.Info
	}
	if r.Benign() {
		switch {
		case len(codes) > 0:
			return fmt.Sprintf("blames %s in a sound shop", strings.Join(codes, ", "))
		case got.Verdict != diagnostics.Ready || exit != 0:
			return fmt.Sprintf("verdict %s, exit %d in a sound shop", got.Verdict, exit)
		}
		return ""
	}
	if len(causes) == 0 {
		return "blames nothing"
	}
	right := slices.DeleteFunc([]string{r.Code, r.Or}, func(c string) bool { return c == "" })
	if len(r.Both) > 0 {
		right = r.Both
		for _, c := range r.Both {
			if !slices.Contains(codes, c) {
				return fmt.Sprintf("blames %s and not %s", strings.Join(codes, ", "), c)
			}
		}
	}
	first := causes[0]
	switch {
	case !slices.Contains(right, first.Code):
		return fmt.Sprintf("blames %s first", strings.Join(codes, ", "))
	case r.Target != "" && !strings.Contains(strings.Join(slices.Concat(first.Targets, first.Evidence, []string{first.Title}), "\n"), r.Target):
		return fmt.Sprintf("names %v, not %s", first.Targets, r.Target)
	case exit != 1:
		return fmt.Sprintf("ends with exit %d", exit)
	}
	for _, c := range causes {
		switch {
		case len(c.Evidence) == 0 || len(c.Remedy) == 0:
			return c.Code + " without evidence or remedy"
		case !slices.Contains(right, c.Code) && !slices.Contains(r.Beside, c.Code):
			return "blames " + c.Code + " as well"
		}
	}
	return ""
}

// judgeNobody judges what a user without rights was told. Such a user may learn
// less, and then is told how to learn more; what is said is right all the same.
func judgeNobody(r Row, got diagnostics.Report) string {
	causes := loud(got)
	right := slices.Concat([]string{r.Code, r.Or}, r.Both, r.Beside, r.Nobody)
	for _, c := range causes {
		if !slices.Contains(right, c.Code) {
			return "blames " + c.Code
		}
	}
	if len(causes) > 0 || r.Benign() {
		return ""
	}
	for _, p := range got.Probes {
		if p.Status == netcheck.Unknown && strings.Contains(p.Detail, "run as root or ask the running hub") {
			return ""
		}
	}
	return "blames nothing, and does not say who could tell"
}

// loud are the causes that stand in a shop's way.
func loud(r diagnostics.Report) []diagnostics.Cause {
	return slices.DeleteFunc(slices.Clone(r.Causes), func(c diagnostics.Cause) bool { return c.Severity == diagnostics.Info })
}
