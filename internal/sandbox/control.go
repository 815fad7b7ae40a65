package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// controlPath is where people move the sandbox by hand.
const controlPath = "/_sandbox/"

const controlHelp = `Stripe sandbox. All calls need the secret key, as Stripe's do.

GET    /_sandbox/books      what really happened to the money, oldest first
POST   /_sandbox/clock      {"advance":"25h"}: move the account's clock
POST   /_sandbox/faults     {"method":"POST","path":"/v1/payment_intents/*/capture","kind":"lost","times":1}
                            kinds: 429 lock_timeout 503 reset hang 500 500-after lost; times 0: until DELETE
DELETE /_sandbox/faults     no more trouble
POST   /_sandbox/webhooks   {"duplicate":true,"reorder":true,"lose":true}
POST   /_sandbox/readers    {"reader":"tmr_…","offline":true}; also gone, busy, times_out, stuck, stored_at, address, software, device
POST   /_sandbox/disputes   {"payment_intent":"pi_…"}: its cardholder disputes it
POST   /_sandbox/search     {"lag":"1m"}: how far behind the search index is
`

// control serves /_sandbox/.
func (s *Sandbox) control(w http.ResponseWriter, r *http.Request, body []byte) {
	s.mu.Lock()
	restricted, e := s.authenticate(r)
	s.mu.Unlock()
	if e != nil || restricted {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "the sandbox's secret key is needed"})
		return
	}
	switch at := r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPath); at {
	case "GET ":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte(controlHelp))
	case "GET books":
		reply(w, http.StatusOK, append([]Entry{}, s.Books()...))
	case "POST clock":
		var v struct{ Advance string }
		order(w, body, &v, func() string {
			d, err := time.ParseDuration(v.Advance)
			if err != nil || d < 0 {
				return "advance: a duration such as 25h is needed"
			}
			s.Advance(d)
			return ""
		})
	case "POST faults":
		var v Fault
		order(w, body, &v, func() string {
			if !knownFault(v.Kind) || v.Times < 0 {
				return "kind: 429, lock_timeout, 503, reset, hang, 500, 500-after or lost; times: 0 or more"
			}
			s.Inject(v)
			return ""
		})
	case "DELETE faults":
		s.Clear()
		reply(w, http.StatusOK, map[string]time.Time{"now": s.Now()})
	case "POST webhooks":
		var v WebhookFaults
		order(w, body, &v, func() string { s.SetWebhookFaults(v); return "" })
	case "POST readers":
		var v struct {
			Reader string
			ReaderState
		}
		order(w, body, &v, func() string {
			if !s.SetReader(v.Reader, v.ReaderState) {
				return "reader: there is no such reader"
			}
			return ""
		})
	case "POST disputes":
		var v struct {
			PaymentIntent string `json:"payment_intent"`
		}
		order(w, body, &v, func() string {
			if !s.Dispute(v.PaymentIntent) {
				return "payment_intent: there is no captured payment of this name"
			}
			return ""
		})
	case "POST search":
		var v struct{ Lag string }
		order(w, body, &v, func() string {
			d, err := time.ParseDuration(v.Lag)
			if err != nil || d < 0 {
				return "lag: a duration such as 1m is needed"
			}
			s.SetSearchLag(d)
			return ""
		})
	default:
		reply(w, http.StatusNotFound, map[string]string{"error": "not found; GET " + controlPath + " lists what there is"})
	}
}

// order decodes strictly, does, and answers with what was ordered.
func order(w http.ResponseWriter, body []byte, v any, do func() (problem string)) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	problem := ""
	if err := d.Decode(v); err != nil {
		problem = err.Error()
	} else {
		problem = do()
	}
	if problem != "" {
		reply(w, http.StatusBadRequest, map[string]string{"error": problem})
		return
	}
	reply(w, http.StatusOK, v)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(encode(v))
}
