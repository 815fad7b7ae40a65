package readers

import (
	"fmt"
	"strings"
	"time"
)

const (
	// offlineSeen is within how long a reader must have been online at this location,
	// and its software been updated, for Stripe to let it take payments without a line.
	offlineSeen = 30 * 24 * time.Hour
	// offlineToken: within how long after the last token a till may connect anew.
	offlineToken = 24 * time.Hour
)

// OfflineFacts are what decides, beside the reader itself, whether it takes payments
// without a line. Zero values are not known.
type OfflineFacts struct {
	At          time.Time
	Integration string    // sdk-js, sdk-native, server-driven; else: by what tills report
	Enabled     Tri       // offline.enabled in the location's effective configuration
	Versions    Versions  // of this shop's readers
	TokenAt     time.Time // when a till last had a connection token, which an SDK needs to begin
	Watched     time.Time // since when tokens are counted
}

// OfflineCheck is one condition.
type OfflineCheck struct {
	Check string `json:"check"` // sdk, reader, configuration, seen, software, initialised
	Met   Tri    `json:"met"`
	Says  string `json:"says"`
}

// Offline says whether a reader would take an offline payment if the line died now.
type Offline struct {
	Ready  Tri            `json:"ready"` // true: all is met; false: something is not; null: nothing is against it, and something is not known
	Checks []OfflineCheck `json:"checks"`
}

// Why is what keeps it from it, or what is not known, in words; empty when it is ready.
func (o Offline) Why() string {
	var words []string
	for _, c := range o.Checks {
		if c.Met == o.Ready && o.Ready != Yes {
			words = append(words, c.Says)
		}
	}
	return strings.Join(words, "; ")
}

// Offline judges the reader by Stripe's conditions for offline mode.
func (r Reader) Offline(f OfflineFacts) Offline {
	out := Offline{Ready: Yes}
	for _, c := range []struct {
		name  string
		judge func(OfflineFacts) (Tri, string)
	}{
		{"sdk", r.offlineSDK}, {"reader", r.offlineKind}, {"configuration", offlineEnabled},
		{"seen", r.offlineSeen}, {"software", r.offlineSoftware}, {"initialised", r.offlineStarted},
	} {
		met, says := c.judge(f)
		out.Checks = append(out.Checks, OfflineCheck{c.name, met, says})
		switch {
		case met == No:
			out.Ready = No
		case met == Unknown && out.Ready == Yes:
			out.Ready = Unknown
		}
	}
	return out
}

func (r Reader) offlineSDK(f OfflineFacts) (Tri, string) {
	switch f.Integration {
	case "sdk-js", "server-driven":
		return No, "the tills' integration (" + f.Integration + ") has no offline mode"
	}
	platform, version := SDK(r.SDK)
	first := map[string]string{"ios": "3.3.0", "android": "3.2.0"}[platform]
	switch {
	case platform == "js":
		return No, "the JavaScript SDK has no offline mode"
	case first != "" && version != "" && CompareVersions(version, first) < 0:
		return No, fmt.Sprintf("the till's SDK (%s %s) is older than %s, the first with an offline mode", platform, version, first)
	case platform != "" && version != "" || f.Integration == "sdk-native":
		for _, t := range r.Troubles() {
			if t.Offline && t.SDK != "" {
				return No, fmt.Sprintf("the till's SDK (%s %s) is known for this: %s", platform, version, t.Trouble)
			}
		}
		return Yes, "the tills' SDK has an offline mode"
	}
	return Unknown, "no till has reported its SDK; set checks.integration if all are native"
}

func (r Reader) offlineKind(OfflineFacts) (Tri, string) {
	switch kind := strings.TrimPrefix(r.DeviceType, "simulated_"); kind {
	case "stripe_s700", "stripe_s710", "bbpos_wisepos_e", "wisepos_e", "stripe_m2", "bbpos_wisepad3", "bbpos_chipper2x":
		return Yes, kind + " has an offline mode"
	case "":
		return Unknown, "the kind of reader is not known"
	default:
		return Unknown, "whether " + kind + " has an offline mode is not known"
	}
}

func offlineEnabled(f OfflineFacts) (Tri, string) {
	switch f.Enabled {
	case Yes:
		return Yes, "offline.enabled is set in the location's configuration"
	case No:
		return No, "offline.enabled is not set in the location's configuration at Stripe"
	}
	return Unknown, "headquarters has not told whether offline.enabled is set in the location's configuration"
}

func (r Reader) offlineSeen(f OfflineFacts) (Tri, string) {
	switch {
	case r.LastSeen.IsZero() && (r.Online == Yes || r.HeldBy != ""):
		return Yes, "it is online here"
	case r.LastSeen.IsZero():
		return Unknown, "when it was last online is not known"
	case f.At.Sub(r.LastSeen) > offlineSeen:
		return No, fmt.Sprintf("it was last online on %s, more than 30 days ago", r.LastSeen.UTC().Format("2 January 2006"))
	}
	return Yes, "it was online here within 30 days"
}

func (r Reader) offlineSoftware(f OfflineFacts) (Tri, string) {
	for _, t := range r.Troubles() {
		if t.Offline && t.SDK == "" {
			return No, "its software (" + r.Software + ") is known for this: " + t.Trouble
		}
	}
	newest, older := f.Versions.Newer(r)
	switch {
	case parseVersion(r.Software) == nil:
		return Unknown, "what software it runs is not known"
	case older && f.At.Sub(newest.Since) > offlineSeen:
		return No, fmt.Sprintf("its software (%s) was not updated for 30 days: %s is known since %s", r.Software, newest.Version, newest.Since.UTC().Format("2 January 2006"))
	case older:
		return Yes, fmt.Sprintf("its software (%s) is not the newest known (%s), and an update is due within 30 days of it", r.Software, newest.Version)
	}
	return Yes, "its software (" + r.Software + ") is the newest of its kind that is known"
}

func (r Reader) offlineStarted(f OfflineFacts) (Tri, string) {
	switch {
	case r.HeldBy != "":
		return Yes, fmt.Sprintf("till %q is connected to it", r.HeldBy)
	case !f.TokenAt.IsZero() && f.At.Sub(f.TokenAt) <= offlineToken:
		return Yes, "a till had a connection token within 24 hours"
	case f.Watched.IsZero() || f.At.Sub(f.Watched) < offlineToken:
		return Unknown, "no till has had a connection token since the hub began to count"
	}
	return No, "no till has had a connection token for 24 hours: an app that starts without a line cannot begin"
}
