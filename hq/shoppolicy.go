package hq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/internal/yamlfile"
)

// ShopPolicy is what people at headquarters decided for a shop. Its hub keeps it and
// lets it go before its own configuration; a part that is absent leaves that as it is.
type ShopPolicy struct {
	Version uint64    `json:"version"` // grows by one with each change
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	// Workday is the shortest lease that is not a finding, such as 12h; "": not decided.
	Workday      string   `json:"workday,omitempty"`
	OpeningHours []string `json:"opening_hours,omitempty"` // "mon-sat 08:00-22:00"
	// RefundLimit is what a till of scope pos may refund at once, in minor units; it is
	// the store record's too.
	RefundLimit *int64 `json:"refund_limit,omitempty"`
	// RefundSum is what a till of scope pos may refund in 24 hours, in minor units.
	RefundSum *int64 `json:"refund_sum,omitempty"`
}

// Bounds of a policy.
const (
	leastWorkday  = time.Hour
	mostWorkday   = 7 * 24 * time.Hour
	mostHours     = 50
	maxLimit      = 99_999_999
	maxPolicyJSON = 16 << 10
)

// ReadPolicy reads a policy from the wire. It refuses what it does not know: half a
// policy is none.
func ReadPolicy(raw json.RawMessage) (ShopPolicy, error) {
	var p ShopPolicy
	if len(raw) > maxPolicyJSON {
		return p, fmt.Errorf("read policy: it is longer than %d bytes", maxPolicyJSON)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("read policy: %w", err)
	}
	if p.Version == 0 {
		return p, errors.New("read policy: it has no version")
	}
	if key, err := p.check(); err != nil {
		return p, fmt.Errorf("read policy: %s: %w", key, err)
	}
	return p, nil
}

// WorkdayLength is Workday; 0: not decided.
func (p ShopPolicy) WorkdayLength() time.Duration {
	d, err := time.ParseDuration(p.Workday)
	if err != nil {
		return 0
	}
	return d
}

func (p ShopPolicy) check() (key string, err error) {
	if d := p.WorkdayLength(); p.Workday != "" && (d < leastWorkday || d > mostWorkday) {
		return "workday", fmt.Errorf("%q is no duration between %s and %s", p.Workday, leastWorkday, mostWorkday)
	}
	if len(p.OpeningHours) > mostHours {
		return "opening_hours", fmt.Errorf("more than %d lines", mostHours)
	}
	for _, h := range p.OpeningHours {
		if err := CheckHours(h); err != nil {
			return "opening_hours", err
		}
	}
	for key, l := range map[string]*int64{"refund_limit": p.RefundLimit, "refund_sum": p.RefundSum} {
		if l != nil && (*l < 0 || *l > maxLimit) {
			return key, fmt.Errorf("%d: want 0 to %d, in minor units (1000 is 10.00)", *l, maxLimit)
		}
	}
	return "", nil
}

var policyKeys = yamlfile.Keys[ShopPolicy]{
	"workday":       yamlfile.Path(func(p *ShopPolicy) *string { return &p.Workday }),
	"opening_hours": yamlfile.List(func(p *ShopPolicy) *[]string { return &p.OpeningHours }, CheckHours),
	"refund_sum":    yamlfile.Number(func(p *ShopPolicy, n int64) { p.RefundSum = &n }, 0, maxLimit),
	"refund_limit":  yamlfile.Number(func(p *ShopPolicy, n int64) { p.RefundLimit = &n }, 0, maxLimit),
}

// ParsePolicy reads workday, opening_hours, refund_limit and refund_sum from YAML (or JSON). Every
// error is a [*yamlfile.Error].
func ParsePolicy(r io.Reader, name string) (ShopPolicy, error) {
	var p ShopPolicy
	return p, policyKeys.Read(r, name, &p, func(p ShopPolicy) (string, error) {
		if p.Workday == "" && p.OpeningHours == nil && p.RefundLimit == nil && p.RefundSum == nil {
			return "", errors.New("nothing is decided: write workday, opening_hours, refund_limit or refund_sum")
		}
		return p.check()
	})
}

// String tells what was decided, in a line.
func (p ShopPolicy) String() string {
	var parts []string
	if p.Workday != "" {
		parts = append(parts, "workday "+p.Workday)
	}
	if p.OpeningHours != nil {
		parts = append(parts, "opening hours "+strings.Join(p.OpeningHours, ", "))
	}
	if p.RefundLimit != nil {
		parts = append(parts, "refund limit "+strconv.FormatInt(*p.RefundLimit, 10))
	}
	if p.RefundSum != nil {
		parts = append(parts, "refund sum "+strconv.FormatInt(*p.RefundSum, 10))
	}
	if parts == nil {
		return "nothing decided"
	}
	return strings.Join(parts, "; ")
}

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// CheckHours takes "mon-sat 08:00-22:00"; the end may be before the beginning,
// it is then the next day's.
func CheckHours(s string) error {
	bad := fmt.Errorf("%q is not like \"mon-sat 08:00-22:00\"", s)
	days, hours, ok := strings.Cut(s, " ")
	if !ok {
		return bad
	}
	from, to, ranged := strings.Cut(days, "-")
	if !slices.Contains(weekdays, from) || ranged && !slices.Contains(weekdays, to) {
		return bad
	}
	open, end, ok := strings.Cut(hours, "-")
	if !ok {
		return bad
	}
	for _, clock := range []string{open, end} {
		if _, err := time.Parse("15:04", clock); err != nil && clock != "24:00" {
			return bad
		}
	}
	return nil
}
