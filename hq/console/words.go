package console

import (
	"html/template"
	"strconv"
	"strings"
	"time"

	"storehub/hq"
	"storehub/internal/web"
)

// funcs are what pages of this console need beside the components.
func (c *Console) funcs() template.FuncMap {
	return template.FuncMap{
		"words":    func(s string) string { return strings.ReplaceAll(s, "_", " ") },
		"number":   number,
		"verdict":  verdictBadge,
		"state":    stateBadge,
		"severity": severityBadge,
		"sign":     itemSign,
		"glyph":    glyph,
		"money":    money,
		"stake":    amount,
		"waiting":  waiting,
		"since":    since,
		"codes":    codes,
		"readers":  readers,
		"done":     func(r *hq.Report) string { return hq.ChecklistSum(r.Checklist) },
		"sortName": func(s string) string { return sortNames[s] },
		// A saved view's query was made by look.Query alone.
		"viewQuery": func(q string) template.URL { return template.URL(q) }, //nolint:gosec // see above
		"tileText":  lastHeard,
		"hubTone": func(hub string) string {
			return map[string]string{"none": web.Off, "drained": web.Warn, "revoked": web.Warn, "duplicated": web.Bad}[hub]
		},
		"tone": func(yes bool, tone string) string {
			if yes {
				return tone
			}
			return ""
		},
		"ifSome": func(n int) string {
			if n == 0 {
				return ""
			}
			return number(n)
		},
		"findings": func(data any) []hq.Finding {
			switch d := data.(type) {
			case findingsData:
				return d.Rows
			case storeData:
				return d.Findings
			}
			return nil
		},
	}
}

// sortNames are the orders in words.
var sortNames = map[string]string{"worst": "worst first", "store": "by store", "contact": "longest unheard", "waiting": "most waiting", "checklist": "most failing items"}

// codesShown of a store stand in its row.
const codesShown = 3

// codes are what the hub found, the principal one first.
func codes(r *hq.Report) string {
	var list []string
	for _, c := range r.Causes {
		list = append(list, c.Code)
	}
	if more := len(list) - codesShown; more > 0 {
		list = append(list[:codesShown], "and "+strconv.Itoa(more)+" more")
	}
	return strings.Join(list, ", ")
}

// readers are how many are online, of how many; "": the list was never had.
func readers(r *hq.Report) string {
	all := 0
	for _, n := range r.Readers {
		all += n
	}
	if all == 0 {
		return ""
	}
	return strconv.Itoa(r.Readers["online"]) + "/" + strconv.Itoa(all)
}

func lastHeard(at *time.Time) string {
	if at == nil {
		return "never heard of"
	}
	return "last heard " + at.UTC().Format("2 Jan 15:04 MST")
}
