package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"storehub/hq"
)

// policyFile is policy.json in the state directory: what headquarters decided, and what
// of it could not be taken.
type policyFile struct {
	Policy hq.ShopPolicy `json:"policy"`
	// Refused is the last policy if it could not be taken; Policy stays in force.
	Refused uint64 `json:"refused,omitempty"`
	Why     string `json:"why,omitempty"`
}

// rememberedPolicy is what an earlier contact left; of a file that cannot be read
// nothing is in force, and headquarters tells it again.
func rememberedPolicy(stateDir string) (policyFile, error) {
	var f policyFile
	b, err := os.ReadFile(filepath.Join(stateDir, "policy.json"))
	if notExist(err) {
		return f, nil
	}
	if err == nil {
		if err = json.Unmarshal(b, &f); err == nil && f.Policy.Version > 0 {
			var again []byte
			if again, err = json.Marshal(f.Policy); err == nil {
				_, err = hq.ReadPolicy(again)
			}
		}
	}
	if err != nil {
		return policyFile{}, fmt.Errorf("read policy: %w", err)
	}
	return f, nil
}

// WithPolicy is the configuration as it holds in the shop: what headquarters decided
// goes before what the file says.
func (c Config) WithPolicy() (Config, error) {
	f, err := rememberedPolicy(c.StateDir)
	if d := f.Policy.WorkdayLength(); d > 0 {
		c.Checks.Workday = d
	}
	if f.Policy.OpeningHours != nil {
		c.OpeningHours = f.Policy.OpeningHours
	}
	return c, err
}

// takePolicies lets the last policy of a page of the feed hold, before the cursor goes
// past it. One that cannot be read leaves the one before in force. It stands in no
// outcome's way: what it could not keep headquarters tells again.
func (h *Hub) takePolicies(items []hq.Item) {
	for _, it := range items {
		if it.Type != "policy" {
			continue
		}
		f := *h.policy.Load()
		p, unreadable := hq.ReadPolicy(it.Policy)
		if unreadable != nil {
			f.Refused, f.Why = versionOf(it.Policy), short(unreadable.Error())
		} else {
			f = policyFile{Policy: p}
		}
		b, err := json.MarshalIndent(f, "", "  ")
		if err == nil {
			err = writeFile(filepath.Join(h.cfg.StateDir, "policy.json"), append(b, '\n'))
		}
		if err != nil {
			h.log.Error("keep policy of headquarters; the one before stays in force", "version", p.Version, "in_force", h.policy.Load().Policy.Version, "err", err)
			continue
		}
		h.policy.Store(&f)
		if unreadable != nil {
			h.log.Error("take policy of headquarters; the one before stays in force", "version", f.Refused, "in_force", f.Policy.Version, "err", unreadable)
		} else {
			h.log.Info("policy of headquarters is in force", "version", p.Version, "by", p.By, "decided", p.String())
		}
		h.monitor.refresh()
		signal(h.decided)
	}
}

// versionOf reads the version of what is otherwise no policy; 0: it has none.
func versionOf(raw json.RawMessage) uint64 {
	var p struct {
		Version uint64 `json:"version"`
	}
	if err := json.Unmarshal(raw, &p); err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
		return 0
	}
	return p.Version
}

// workday is the shortest lease that is not a finding.
func (h *Hub) workday() time.Duration {
	if d := h.policy.Load().Policy.WorkdayLength(); d > 0 {
		return d
	}
	return h.cfg.Checks.Workday
}

// reportPolicy is what the hub says of the policies it heard of; nil: of none.
func (h *Hub) reportPolicy() *hq.ReportPolicy {
	f := h.policy.Load()
	if f.Policy.Version == 0 && f.Refused == 0 {
		return nil
	}
	return &hq.ReportPolicy{Version: f.Policy.Version, Refused: f.Refused, Why: f.Why}
}
