package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
	"storehub/readers"
)

// OfflineExposure is what tills took offline in one currency and nobody has been
// paid for yet, in minor units, and what the shop allows.
type OfflineExposure struct {
	Currency string `json:"currency"`
	Taken    int64  `json:"taken"`
	Limit    *int64 `json:"limit"` // null: the shop sets none
	Reached  bool   `json:"reached"`
}

// checkOfflineLimit takes "eur 50000": a currency and minor units.
func checkOfflineLimit(s string) error {
	_, _, err := parseOfflineLimit(s)
	return err
}

func parseOfflineLimit(s string) (currency string, limit int64, err error) {
	currency, digits, ok := strings.Cut(s, " ")
	if ok {
		limit, err = strconv.ParseInt(digits, 10, 64)
	}
	if !ok || err != nil || limit < 0 || doors.CheckCurrency(strings.ToLower(currency)) != nil {
		return "", 0, fmt.Errorf("%q is not like \"eur 50000\": a currency, and minor units", s)
	}
	return strings.ToLower(currency), limit, nil
}

// offlineLimits are those of the configuration, by currency.
func (c Config) offlineLimits() map[string]int64 {
	limits := map[string]int64{}
	for _, s := range c.OfflineLimits {
		if currency, limit, err := parseOfflineLimit(s); err == nil { // they were checked when they were read
			limits[currency] = limit
		}
	}
	return limits
}

// exposed is what was taken in each currency of which a till has reported a payment
// or the shop sets a limit, by currency. An error is of the queue.
func (h *Hub) exposed() ([]OfflineExposure, error) {
	sums, err := h.metrics.exposure.sum(h.queue, h.queue.Stats().Operations[string(doors.OfflinePayment)], h.now())
	if err != nil {
		return nil, err
	}
	return exposures(sums, h.cfg.offlineLimits()), nil
}

func exposures(sums, limits map[string]int64) []OfflineExposure {
	out := []OfflineExposure{}
	for currency, taken := range sums {
		e := OfflineExposure{Currency: currency, Taken: taken}
		if limit, set := limits[strings.ToLower(currency)]; set {
			e.Limit, e.Reached = &limit, taken >= limit
		}
		out = append(out, e)
	}
	for currency, limit := range limits {
		if !slices.ContainsFunc(out, func(e OfflineExposure) bool { return strings.EqualFold(e.Currency, currency) }) {
			out = append(out, OfflineExposure{Currency: currency, Limit: &limit, Reached: limit == 0})
		}
	}
	slices.SortFunc(out, func(a, b OfflineExposure) int { return strings.Compare(a.Currency, b.Currency) })
	return out
}

// offlineWords is what a cashier must know of the limit; "" while there is room.
func offlineWords(list []OfflineExposure) string {
	var full []string
	for _, e := range list {
		if e.Reached {
			full = append(full, strings.ToUpper(e.Currency))
		}
	}
	if len(full) == 0 {
		return ""
	}
	return "Take no more card payments in " + strings.Join(full, ", ") + " while the internet is down: the shop's limit for them is reached."
}

// limits tells tills, once each, that a currency's limit is reached or no longer is.
type limits struct {
	mu   sync.Mutex
	told map[string]bool
}

// tellLimits publishes what has changed since the last call.
func (h *Hub) tellLimits() {
	list, err := h.exposed()
	if err != nil {
		return // not known: what was told holds
	}
	h.limits.mu.Lock()
	defer h.limits.mu.Unlock()
	for _, e := range list {
		if e.Reached == h.limits.told[e.Currency] {
			continue
		}
		if h.limits.told == nil {
			h.limits.told = map[string]bool{}
		}
		h.limits.told[e.Currency] = e.Reached
		h.log.Info("offline payments", "currency", e.Currency, "taken", e.Taken, "limit_reached", e.Reached)
		h.events.publish(doors.Event{Type: eventOffline, Data: struct {
			OfflineExposure
			OperatorMessage string `json:"operator_message,omitempty"`
		}{e, offlineWords([]OfflineExposure{e})}}, false)
	}
}

// software keeps which versions of readers' software this shop has seen first when:
// software.json in the state directory.
type software struct {
	path string

	mu   sync.Mutex
	seen readers.Versions
}

func openSoftware(stateDir string) *software {
	s := &software{path: filepath.Join(stateDir, "software.json")}
	if b, err := os.ReadFile(s.path); err == nil {
		_ = json.Unmarshal(b, &s.seen) // a torn file: the versions are seen anew today
	}
	return s
}

// see takes in what readers run.
func (s *software) see(at time.Time, list []readers.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seen.See(at, list) {
		return nil
	}
	b, err := json.MarshalIndent(s.seen, "", "  ")
	if err == nil {
		err = writeFile(s.path, append(b, '\n'))
	}
	return err
}

func (s *software) versions() readers.Versions {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := readers.Versions{Newest: map[string]readers.Seen{}}
	for k, seen := range s.seen.Newest {
		v.Newest[k] = seen
	}
	return v
}

// offlineFacts are the hub's share of whether readers take payments without a line.
func (h *Hub) offlineFacts() readers.OfflineFacts {
	f := readers.OfflineFacts{At: h.now(), Integration: h.cfg.Checks.Integration, Versions: h.fleet.software.versions(), Watched: h.fleet.began}
	if at := h.tokenAt.Load(); at != 0 {
		f.TokenAt = time.Unix(0, at)
	}
	if s := h.store.Load(); s != nil {
		f.Enabled = map[string]readers.Tri{hq.OfflineOn: readers.Yes, hq.OfflineOff: readers.No}[s.Offline]
	}
	return f
}

// offlineRecord reports whether an operation is of money taken offline.
func offlineRecord(op offlinequeue.Op) bool { return doors.Kind(op.Kind) == doors.OfflinePayment }
