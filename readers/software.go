package readers

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Trouble is a defect that is known in public of some versions: of an SDK, or of
// the software of a kind of reader. It begins with From and is mended in Before;
// empty is open on that side.
type Trouble struct {
	SDK     string `json:"sdk,omitempty"`     // android, ios, react-native, js; empty: of a reader's software
	Device  string `json:"device,omitempty"`  // device type; empty: any
	From    string `json:"from,omitempty"`    //
	Before  string `json:"before,omitempty"`  //
	Offline bool   `json:"offline,omitempty"` // it spoils payments without a line
	Trouble string `json:"trouble"`
	Do      string `json:"do"`
	Source  string `json:"source"`
}

//go:embed troubles.json
var troublesFile []byte

// troubles is the file, which the tests hold to be readable.
var troubles = sync.OnceValue(func() (list []Trouble) {
	_ = json.Unmarshal(troublesFile, &list)
	return list
})

// Troubles are those known of the reader's software and of the SDK that reported last.
func (r Reader) Troubles() (found []Trouble) {
	sdk, sdkVersion := SDK(r.SDK)
	for _, t := range troubles() {
		version := r.Software
		if t.SDK != "" {
			if version = sdkVersion; sdk != t.SDK {
				continue
			}
		}
		if t.Device != "" && t.Device != r.DeviceType || !within(version, t.From, t.Before) {
			continue
		}
		found = append(found, t)
	}
	return found
}

// within says whether a version is one of those; one that cannot be read is in none.
func within(version, from, before string) bool {
	if parseVersion(version) == nil {
		return false
	}
	return (from == "" || CompareVersions(version, from) >= 0) && (before == "" || CompareVersions(version, before) < 0)
}

// SDK reads what a till reports of its SDK, such as "terminal-ios 4.6.0" or
// "stripe-terminal-android/5.2.0": the platform, "" if it is none that is known, and
// the version, "" if none is told.
func SDK(report string) (platform, version string) {
	words := strings.FieldsFunc(strings.ToLower(report), func(r rune) bool { return r == ' ' || r == '/' || r == '@' || r == ':' || r == '(' || r == ')' })
	for _, w := range words {
		switch {
		case version == "" && parseVersion(w) != nil:
			version = strings.TrimPrefix(w, "v")
		case platform != "":
		case strings.Contains(w, "react-native"):
			platform = "react-native"
		case strings.Contains(w, "android"), w == "java", w == "kotlin":
			platform = "android"
		case strings.Contains(w, "ios"), w == "swift":
			platform = "ios"
		case w == "js", strings.HasSuffix(w, "-js"), w == "javascript":
			platform = "js"
		}
	}
	return platform, version
}

// CompareVersions orders dotted numbers: -1, 0 or 1. What is no version comes before
// every version.
func CompareVersions(a, b string) int {
	x, y := parseVersion(a), parseVersion(b)
	for len(x) < len(y) && x != nil {
		x = append(x, 0)
	}
	for len(y) < len(x) && y != nil {
		y = append(y, 0)
	}
	return slices.Compare(x, y)
}

// parseVersion reads up to eight numbers with dots between, with or without a v in
// front and a suffix after a hyphen or plus sign; nil is no version.
func parseVersion(s string) (out []int) {
	s = strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 8 {
		return nil
	}
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || p[0] == '+' {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// Versions are the newest software seen of each kind of reader, and since when. The
// zero value has seen none. It is not for several goroutines.
type Versions struct {
	Newest map[string]Seen `json:"newest"` // by device type
}

// Seen is a version and when it was seen first.
type Seen struct {
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
}

// See takes in what readers run, and says whether anything is new.
func (v *Versions) See(at time.Time, list []Reader) (news bool) {
	for _, r := range list {
		if old := v.Newest[r.DeviceType]; parseVersion(r.Software) != nil && CompareVersions(r.Software, old.Version) > 0 {
			if v.Newest == nil {
				v.Newest = map[string]Seen{}
			}
			v.Newest[r.DeviceType], news = Seen{r.Software, at.UTC().Truncate(time.Second)}, true
		}
	}
	return news
}

// Newer is the newest version of the reader's kind, if the reader runs an older one.
func (v Versions) Newer(r Reader) (Seen, bool) {
	newest, known := v.Newest[r.DeviceType]
	return newest, known && parseVersion(r.Software) != nil && CompareVersions(r.Software, newest.Version) < 0
}
