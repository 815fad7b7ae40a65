package readers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTheListOfTroublesCanBeRead(t *testing.T) {
	var list []Trouble
	d := json.NewDecoder(strings.NewReader(string(troublesFile)))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil || len(list) == 0 {
		t.Fatalf("%d, %v", len(list), err)
	}
	for _, x := range list {
		if x.Trouble == "" || !strings.HasSuffix(x.Do, ".") || !strings.HasPrefix(x.Source, "https://") || x.From == "" && x.Before == "" {
			t.Errorf("%+v lacks something", x)
		}
		for _, v := range []string{x.From, x.Before} {
			if v != "" && parseVersion(v) == nil {
				t.Errorf("%q is no version", v)
			}
		}
	}
}

func TestAnSDKIsReadFromWhatATillSays(t *testing.T) {
	for said, want := range map[string][2]string{
		"terminal-ios 4.6.0":                         {"ios", "4.6.0"},
		"stripe-terminal-android/5.2.0":              {"android", "5.2.0"},
		"Android v3.4.1 (Pixel 8)":                   {"android", "3.4.1"},
		"stripe-terminal-react-native@0.0.1-beta.25": {"react-native", "0.0.1-beta.25"},
		"@stripe/terminal-js 0.9.0":                  {"js", "0.9.0"},
		"ours 2.0":                                   {"", "2.0"},
		"ios":                                        {"ios", ""},
		"":                                           {"", ""},
	} {
		if platform, version := SDK(said); platform != want[0] || version != want[1] {
			t.Errorf("%q: %q %q, want %q", said, platform, version, want)
		}
	}
}

func TestTroublesAreThoseOfTheVersion(t *testing.T) {
	for sdk, want := range map[string]int{
		"android 5.2.0": 1, "android 5.2.1": 0, "android 5.1.9": 0, "android 2.5.1": 1, "android 3.4.0": 1, "android 4.0.1": 0,
		"ios 4.6.9": 1, "ios 4.7": 0, "ios 2.19.3": 2, "ios": 0, "js 5.2.0": 0, "": 0,
	} {
		if got := (Reader{SDK: sdk}).Troubles(); len(got) != want {
			t.Errorf("%q: %+v, want %d", sdk, got, want)
		}
	}
}

// TestTheNewestOfEachKindIsKept: once it was seen, also when the reader is gone.
func TestTheNewestOfEachKindIsKept(t *testing.T) {
	s700 := func(version string) Reader { return Reader{DeviceType: "stripe_s700", Software: version} }
	var v Versions
	if !v.See(at(0), []Reader{s700("2.9.1"), s700("2.37.0"), {DeviceType: "bbpos_wisepos_e", Software: "1.0.0"}, s700(""), s700("nightly")}) {
		t.Error("nothing was new")
	}
	if v.See(at(60), []Reader{s700("2.37")}) {
		t.Error("the same version under a shorter name is new")
	}
	if !v.See(at(60), []Reader{s700("2.100.0")}) || v.See(at(90), nil) {
		t.Error("a newer one is news once")
	}
	for version, older := range map[string]bool{"2.37.0": true, "2.100.0": false, "3.0": false, "": false, "nightly": false} {
		if newest, got := v.Newer(s700(version)); got != older || newest.Version != "2.100.0" || !newest.Since.Equal(at(60)) {
			t.Errorf("%q: %+v, %v", version, newest, got)
		}
	}
	if _, older := v.Newer(Reader{DeviceType: "stripe_m2", Software: "1.0.0"}); older {
		t.Error("of a kind that was never seen nothing is newer")
	}
}

func FuzzVersions(f *testing.F) {
	f.Add("2.37.2.0", "v2.37", "2.x")
	f.Add("999999999999999999999.1", "", "1.-2")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		SDK(a + " " + b)
		if CompareVersions(a, b) != -CompareVersions(b, a) || CompareVersions(a, a) != 0 {
			t.Fatalf("%q and %q have no order", a, b)
		}
		if CompareVersions(a, b) < 0 && CompareVersions(b, c) < 0 && CompareVersions(a, c) >= 0 {
			t.Fatalf("%q, %q, %q have no order", a, b, c)
		}
	})
}

// TestWouldItTakeAnOfflinePayment: each condition alone, and what is not known.
func TestWouldItTakeAnOfflinePayment(t *testing.T) {
	ready := Reader{DeviceType: "stripe_s700", Software: "2.37.2.0", SDK: "terminal-ios 5.0.0", Online: Yes, LastSeen: at(-60)}
	known := OfflineFacts{At: at(0), Enabled: Yes, TokenAt: at(-3600), Watched: at(-7200)}
	aged := Versions{Newest: map[string]Seen{"stripe_s700": {"2.40.0", noon.Add(-31 * 24 * time.Hour)}}}
	fresh := Versions{Newest: map[string]Seen{"stripe_s700": {"2.40.0", noon.Add(-24 * time.Hour)}}}
	for name, c := range map[string]struct {
		change func(*Reader, *OfflineFacts)
		want   Tri
		why    string
	}{
		"all is met":            {nil, Yes, ""},
		"not told by HQ":        {func(_ *Reader, f *OfflineFacts) { f.Enabled = Unknown }, Unknown, "headquarters has not told whether offline.enabled is set in the location's configuration"},
		"not configured":        {func(_ *Reader, f *OfflineFacts) { f.Enabled = No }, No, "offline.enabled is not set in the location's configuration at Stripe"},
		"a web till":            {func(_ *Reader, f *OfflineFacts) { f.Integration = "sdk-js" }, No, "the tills' integration (sdk-js) has no offline mode"},
		"server-driven":         {func(_ *Reader, f *OfflineFacts) { f.Integration = "server-driven" }, No, "the tills' integration (server-driven) has no offline mode"},
		"a web till reports":    {func(r *Reader, _ *OfflineFacts) { r.SDK = "terminal-js 1.0.0" }, No, "the JavaScript SDK has no offline mode"},
		"an SDK too old":        {func(r *Reader, _ *OfflineFacts) { r.SDK = "terminal-android 3.1.9" }, No, "the till's SDK (android 3.1.9) is older than 3.2.0, the first with an offline mode"},
		"a known defect":        {func(r *Reader, _ *OfflineFacts) { r.SDK = "terminal-android 4.0.0" }, No, "the till's SDK (android 4.0.0) is known for this: offline mode asks for a software update of an up-to-date reader"},
		"no till reports":       {func(r *Reader, _ *OfflineFacts) { r.SDK = "" }, Unknown, "no till has reported its SDK; set checks.integration if all are native"},
		"all are native":        {func(r *Reader, f *OfflineFacts) { r.SDK, f.Integration = "", "sdk-native" }, Yes, ""},
		"another kind":          {func(r *Reader, _ *OfflineFacts) { r.DeviceType = "verifone_P400" }, Unknown, "whether verifone_P400 has an offline mode is not known"},
		"away for long":         {func(r *Reader, _ *OfflineFacts) { r.LastSeen = noon.Add(-31 * 24 * time.Hour) }, No, "it was last online on 30 January 2026, more than 30 days ago"},
		"never seen":            {func(r *Reader, _ *OfflineFacts) { r.LastSeen, r.Online = time.Time{}, No }, Unknown, "when it was last online is not known"},
		"online, time not told": {func(r *Reader, _ *OfflineFacts) { r.LastSeen = time.Time{} }, Yes, ""},
		"old software":          {func(_ *Reader, f *OfflineFacts) { f.Versions = aged }, No, "its software (2.37.2.0) was not updated for 30 days: 2.40.0 is known since 30 January 2026"},
		"an update is due":      {func(_ *Reader, f *OfflineFacts) { f.Versions = fresh }, Yes, ""},
		"software not told":     {func(r *Reader, _ *OfflineFacts) { r.Software = "" }, Unknown, "what software it runs is not known"},
		"no token yet":          {func(_ *Reader, f *OfflineFacts) { f.TokenAt = time.Time{} }, Unknown, "no till has had a connection token since the hub began to count"},
		"no token for a day": {func(_ *Reader, f *OfflineFacts) {
			f.TokenAt, f.Watched = noon.Add(-25*time.Hour), noon.Add(-30*time.Hour)
		}, No, "no till has had a connection token for 24 hours: an app that starts without a line cannot begin"},
		"a till holds it":        {func(r *Reader, f *OfflineFacts) { f.TokenAt, r.HeldBy = time.Time{}, "till-1" }, Yes, ""},
		"no outweighs not known": {func(r *Reader, f *OfflineFacts) { f.Enabled, r.Software = No, "" }, No, "offline.enabled is not set in the location's configuration at Stripe"},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := ready, known
			if c.change != nil {
				c.change(&r, &f)
			}
			if got := r.Offline(f); got.Ready != c.want || got.Why() != c.why || len(got.Checks) != 6 {
				t.Errorf("got %s, %q, want %s, %q: %+v", got.Ready, got.Why(), c.want, c.why, got.Checks)
			}
		})
	}
}
