package diagnostics

import (
	"fmt"
	"slices"
	"strings"

	"storehub/netcheck"
	"storehub/readers"
)

// facts is the input with the questions that rules ask of it. Evidence may come
// from this process or from a file, so its values are read by kind, not by type.
type facts struct {
	Input
	byName map[string]netcheck.Result
	names  []string
}

func gather(in Input) *facts {
	f := &facts{Input: in, byName: map[string]netcheck.Result{}}
	if in.Net != nil {
		for _, r := range in.Net.Results {
			if _, twice := f.byName[r.Name]; !twice {
				f.names = append(f.names, r.Name)
			}
			f.byName[r.Name] = r
		}
	}
	return f
}

func (f *facts) probe(name string) netcheck.Result { return f.byName[name] }
func (f *facts) passed(name string) bool {
	s := f.byName[name].Status
	return s == netcheck.Pass || s == netcheck.Warn
}
func (f *facts) failed(name string) bool { return f.byName[name].Status == netcheck.Fail }

// under are the probes whose name begins with prefix, in the report's order.
func (f *facts) under(prefix string) []netcheck.Result {
	var out []netcheck.Result
	for _, n := range f.names {
		if strings.HasPrefix(n, prefix) {
			out = append(out, f.byName[n])
		}
	}
	return out
}

// coded are the probes that prove code.
func (f *facts) coded(code string) []netcheck.Result {
	var out []netcheck.Result
	for _, n := range f.names {
		if f.byName[n].Code == code {
			out = append(out, f.byName[n])
		}
	}
	return out
}

// visits are Stripe's hosts on 443, required ones first.
func (f *facts) visits() []netcheck.Result {
	list := f.under("https/")
	slices.SortStableFunc(list, func(a, b netcheck.Result) int {
		return b2i(yes(b, "required")) - b2i(yes(a, "required"))
	})
	return list
}

// proven says whether any host beyond the gateway proved itself by certificate.
func (f *facts) proven() []string {
	var out []string
	for _, v := range f.under("https/") {
		if s := str(v, "stage"); (s == "done" || s == "http") && str(v, "certificate") == "" && !yes(v, "extra") {
			out = append(out, str(v, "host"))
		}
	}
	return out
}

// connected are the hosts that took a connection on 443.
func (f *facts) connected() []string {
	var out []string
	for _, v := range f.under("https/") {
		if s := str(v, "stage"); s != "" && s != "tcp" {
			out = append(out, str(v, "host"))
		}
	}
	return out
}

// otherLife are signs from beyond the gateway that need no port 443.
func (f *facts) otherLife() []string {
	var out []string
	for _, r := range f.under("public/") {
		if yes(r, "alive") {
			out = append(out, str(r, "resolver")+" answers DNS")
		}
	}
	for _, r := range f.under("ntp/") {
		if r.Status == netcheck.Pass {
			out = append(out, str(r, "host")+" tells the time")
		}
	}
	if r := f.probe("portal"); num(r, "genuine") > 0 {
		out = append(out, "plain HTTP reaches the pages it asked for")
	}
	return out
}

// beyond says whether anything at all lives beyond the gateway, and whether that
// was asked.
func (f *facts) beyond() (alive, asked bool) {
	b := f.probe("beyond")
	if len(f.proven()) > 0 || len(f.connected()) > 0 || len(f.otherLife()) > 0 || len(strs(b, "open")) > 0 {
		return true, true
	}
	return false, b.Status == netcheck.Fail
}

func str(r netcheck.Result, key string) string {
	s, _ := r.Evidence[key].(string)
	return s
}

func yes(r netcheck.Result, key string) bool {
	b, _ := r.Evidence[key].(bool)
	return b
}

func num(r netcheck.Result, key string) float64 {
	switch n := r.Evidence[key].(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

func strs(r netcheck.Result, key string) []string {
	switch l := r.Evidence[key].(type) {
	case []string:
		return l
	case []any:
		var out []string
		for _, v := range l {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// said is a map in evidence as sorted lines "key: value".
func said(r netcheck.Result, key string) []string {
	m, _ := r.Evidence[key].(map[string]any)
	var out []string
	for k, v := range m {
		out = append(out, fmt.Sprintf("%s: %v", k, v))
	}
	slices.Sort(out)
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// readerName is what people call a reader.
func readerName(r readers.Reader) string {
	switch {
	case r.Label != "":
		return r.Label
	case r.Serial != "":
		return r.Serial
	}
	return r.ID
}
