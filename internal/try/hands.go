package try

import (
	"fmt"
	"net/http"
)

// hands serves the cables to whoever tries the system:
//
//	POST /_try/internet/cut|silence|mend   the line between the hub and headquarters
//	POST /_try/stripe/cut|silence|mend     the line between headquarters and Stripe
//	POST /_try/hub/cut|mend                the hub's power
//	POST /_try/hq/break?ref=pi_…, /mend    a bug: headquarters breaks on that payment's operations
//	POST /_try/hq/link                     another one-time link into headquarters' console
//	GET  /_try/till/                       a till in a page, see till.go
//	GET  /_try/                            what can be done, and how the lines are
func (s *System) hands() http.Handler {
	mux := http.NewServeMux()
	lines := map[string]*Cable{"internet": s.Internet, "stripe": s.Stripe}
	mux.HandleFunc("POST /_try/{line}/{deed}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" { // a hand, not a web page
			http.Error(w, "not for web pages", http.StatusForbidden)
			return
		}
		if r.PathValue("line") == "hub" {
			s.power(w, r)
			return
		}
		if r.PathValue("line") == "hq" && r.PathValue("deed") == "link" {
			link, err := s.HQLink(r.Context())
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, link)
			return
		}
		if r.PathValue("line") == "hq" && (r.PathValue("deed") == "break" || r.PathValue("deed") == "mend") {
			s.flaw(w, r)
			return
		}
		line, ok := lines[r.PathValue("line")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		switch r.PathValue("deed") {
		case "cut":
			line.Cut()
		case "silence":
			line.Silence()
		case "mend":
			line.Mend()
		default:
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "the %s line: %s done\n", r.PathValue("line"), r.PathValue("deed"))
	})
	mux.HandleFunc("GET /_try/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, name := range []string{"internet", "stripe"} {
			fmt.Fprintf(w, "%s line whole: %t\n", name, lines[name].Whole())
		}
		fmt.Fprint(w, "POST /_try/internet/cut, /silence or /mend; the same for /_try/stripe/\n"+
			"POST /_try/hub/cut or /mend: the hub's power\nPOST /_try/hq/link: another link into headquarters' console\n"+
			"POST /_try/hq/break?ref=pi_… or /mend: headquarters breaks on that payment\nGET  /_try/till/: a till in a page\n")
	})
	return mux
}

// power takes the hub's power away, or gives it back.
func (s *System) power(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	on := s.hub != nil
	s.mu.Unlock()
	var err error
	switch deed := r.PathValue("deed"); {
	case deed == "cut" && on:
		err = s.PowerCut()
	case deed == "mend" && !on:
		err = s.BootHub(r.Context())
	case deed == "cut" || deed == "mend":
		http.Error(w, "so it is already", http.StatusConflict)
		return
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "the hub's power: %s done\n", r.PathValue("deed"))
}
