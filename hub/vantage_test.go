package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/readers"
)

var vantageURL = regexp.MustCompile(`id="vantage-url">([^<]+)<`)

// view is a shop with two readers that answer the hub, and somebody at its console.
type view struct {
	*shop
	at    *browser
	ahead atomic.Int64
}

func openView(t *testing.T) *view {
	t.Helper()
	f := newFakeHQ()
	for i := range 2 {
		f.readers = append(f.readers, fmt.Appendf(nil, `{"id":"tmr_%d","serial_number":"S%d","label":"%d","device_type":"stripe_s700","ip_address":"192.168.7.3%d","status":"online"}`, i, i, i, i))
	}
	v := &view{}
	v.shop = open(t, f, t.TempDir(), func(_ *Config, p *Parts) {
		p.Networks = func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("192.168.7.10/24")} }
		p.Now = func() time.Time { return time.Now().Add(time.Duration(v.ahead.Load())) }
		p.Dial = func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			return a, b.Close()
		}
	})
	eventually(t, "the hub reaches both readers", func() bool {
		list := v.hub.fleet.registry.Snapshot()
		return len(list) == 2 && list[0].Reachable == readers.Yes && list[1].Reachable == readers.Yes
	})
	v.at = v.browse(t)
	v.at.enter(v.shop)
	return v
}

// code makes one on the console.
func (v *view) code() string {
	v.t.Helper()
	v.at.get("/console/network")
	status, _, body := v.at.post("/console/network/vantage", url.Values{})
	m := vantageURL.FindStringSubmatch(body)
	if status != http.StatusOK || m == nil || !strings.Contains(body, `class="qr"`) || !strings.Contains(body, "2 readers") {
		v.t.Fatalf("no code: %d %s", status, body)
	}
	u, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil || u.Path != "/console/vantage" {
		v.t.Fatalf("%s: %v", m[1], err)
	}
	return u.Query().Get("code")
}

// from is a request of a device at that address.
func (v *view) from(addr, method, path, body string, header ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, v.addr.URL+path, strings.NewReader(body))
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(addr), 50123).String()
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	v.hub.door.ServeHTTP(w, r)
	return w
}

func browserWord(code, permission string, sights ...diagnostics.Sight) string {
	r := map[string]any{"code": code, "permission": permission, "hub_ms": []int{12, 9, -1}}
	list := []map[string]any{}
	for i, s := range sights {
		list = append(list, map[string]any{"address": fmt.Sprintf("192.168.7.3%d", i), "sight": s, "ms": 4000})
	}
	r["readers"] = list
	b, _ := json.Marshal(r) // of strings and numbers
	return string(b)
}

func (v *view) awaitCause(code, evidence string) diagnostics.Cause {
	v.t.Helper()
	var found diagnostics.Cause
	eventually(v.t, code+" for "+evidence, func() bool {
		causes := v.hub.monitor.current().Causes
		i := slices.IndexFunc(causes, func(c diagnostics.Cause) bool {
			return c.Code == code && strings.Contains(strings.Join(c.Evidence, "\n"), evidence)
		})
		if i >= 0 {
			found = causes[i]
		}
		return i >= 0
	})
	return found
}

// A phone that reaches the hub and no reader, a till in another network, a browser that
// denies, a device on which nothing opens: each is told apart, in the diagnosis.
func TestStoryAPhoneLooksWhereTheHubCannot(t *testing.T) {
	v := openView(t)
	code := v.code()
	page := v.from("192.168.7.77", "GET", "/console/vantage?code="+code, "")
	policy := page.Header().Get("Content-Security-Policy")
	if page.Code != http.StatusOK || !strings.Contains(policy, "connect-src 'self' https://192.168.7.30:4443 https://192.168.7.31:4443;") || strings.Contains(policy, "unsafe") {
		t.Errorf("%d, policy %q", page.Code, policy)
	}
	if other := v.from("192.168.7.77", "GET", "/console/staff", "").Header().Get("Content-Security-Policy"); strings.Contains(other, "4443") {
		t.Errorf("another page may ask readers too: %q", other)
	}
	answer := v.from("192.168.7.77", "POST", "/console/vantage", browserWord(code, "prompt", diagnostics.SightSilent, diagnostics.SightSilent))
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "which the hub reaches, does not") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	c := v.awaitCause("client_isolation", "from 192.168.7.77")
	if c.Severity != diagnostics.Warning || !slices.Contains(c.Targets, "192.168.7.30") || len(c.RuledOut) < 2 {
		t.Errorf("%+v", c)
	}
	if status, body := v.ask("GET", "/v1/diagnosis", v.credential, ""); status != http.StatusOK || !strings.Contains(body, "from 192.168.7.77") {
		t.Errorf("the diagnosis: %d %s", status, body)
	}
	if _, _, body := v.at.get("/console/network"); !strings.Contains(body, "from 192.168.7.77") || !strings.Contains(body, "hub: 12 ms, 1 questions") {
		t.Errorf("the network's page: %s", body)
	}
	if again := v.from("192.168.7.77", "POST", "/console/vantage", browserWord(code, "")); again.Code != http.StatusForbidden {
		t.Errorf("the code told twice: %d", again.Code)
	}

	v.from("10.9.0.4", "POST", "/console/vantage", browserWord(v.code(), "", diagnostics.SightSilent, diagnostics.SightSilent))
	v.awaitCause("reader_other_subnet", "from 10.9.0.4")
	v.from("192.168.7.78", "POST", "/console/vantage", browserWord(v.code(), "denied", diagnostics.SightBlocked, diagnostics.SightBlocked))
	v.awaitCause("browser_lan_denied", "from 192.168.7.78")
	// A person says that the page does not open at an address of this network, though
	// other devices have just reached the hub.
	code = v.code()
	if status, _, _ := v.at.post("/console/network/vantage/closed", url.Values{"code": {code}, "address": {"192.168.7.79"}}); status != http.StatusOK {
		t.Errorf("a person's word: %d", status)
	}
	v.awaitCause("client_isolation", "from 192.168.7.79")

	// The phone's trouble is mended, and its new word replaces the old one.
	v.from("192.168.7.77", "POST", "/console/vantage", browserWord(v.code(), "", diagnostics.SightRejected, diagnostics.SightAnswered))
	eventually(t, "the phone's old word is gone", func() bool {
		b, err := json.Marshal(v.hub.monitor.current().Causes)
		return err == nil && !strings.Contains(string(b), "from 192.168.7.77")
	})
	v.ahead.Store(int64(vantageKept + time.Second))
	v.hub.monitor.judge()
	eventually(t, "what was seen half an hour ago is gone", func() bool { return len(v.hub.monitor.current().Causes) == 0 })
}

func TestAVantagePointTellsOnlyWhatItWasAsked(t *testing.T) {
	v := openView(t)
	code := v.code()
	with := func(change string) string {
		return strings.Replace(browserWord(code, "granted", diagnostics.SightSilent), `"granted"`, change, 1)
	}
	for name, body := range map[string]string{
		"no JSON":              "x",
		"two values":           browserWord(code, "") + browserWord(code, ""),
		"a field of its own":   strings.Replace(browserWord(code, ""), "{", `{"evil":1,`, 1),
		"another permission":   with(`"certainly"`),
		"a sight of its own":   strings.Replace(browserWord(code, "", "silent"), "silent", "<script>", 1),
		"a reader not asked":   strings.Replace(browserWord(code, "", "silent"), "192.168.7.30", "192.168.7.99", 1),
		"no address":           strings.Replace(browserWord(code, "", "silent"), "192.168.7.30", "", 1),
		"one reader twice":     strings.Replace(browserWord(code, "", "silent", "silent"), "192.168.7.31", "192.168.7.30", 1),
		"more than was asked":  browserWord(code, "", "silent", "silent", "silent"),
		"time that ran back":   strings.Replace(browserWord(code, "", "silent"), "4000", "-5", 1),
		"a year":               strings.Replace(browserWord(code, ""), "12", "99999999", 1),
		"too many of the hub":  strings.Replace(browserWord(code, ""), "12,", "1,1,1,1,12,", 1),
		"more than a page may": strings.Repeat(" ", vantageBody) + browserWord(code, ""),
	} {
		if w := v.from("192.168.7.77", "POST", "/console/vantage", body); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if list := v.hub.vantages.list(v.hub.now()); len(list) != 0 {
		t.Errorf("kept %+v", list)
	}
	good := browserWord(code, "granted", diagnostics.SightAnswered)
	if w := v.from("192.168.7.77", "POST", "/console/vantage", good, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
		t.Errorf("from a page of somebody else: %d", w.Code)
	}
	// What opens the page is no session, and whoever only looks makes no code.
	for _, path := range []string{"/console/network", "/console/vantage?code=x", "/console/vantage"} {
		if w := v.from("192.168.7.77", "GET", path, ""); w.Code == http.StatusOK || strings.Contains(w.Body.String(), "192.168.7.3") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := v.from("192.168.7.77", "POST", "/console/vantage", good); w.Code != http.StatusOK {
		t.Errorf("what was asked: %d %s", w.Code, w.Body)
	}
	late := v.code()
	v.ahead.Store(int64(vantageLife))
	if w := v.from("192.168.7.77", "POST", "/console/vantage", browserWord(late, "")); w.Code != http.StatusForbidden {
		t.Errorf("a code of ten minutes ago: %d", w.Code)
	}
	refused := 0
	for range 3 * vantageBurst {
		if v.from("192.168.7.66", "GET", "/console/vantage?code=guess", "").Code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("codes may be tried without end")
	}
}

func TestVantagesAreBounded(t *testing.T) {
	v, now := newVantages(), time.Now()
	for i := range 3 * vantageMost {
		c := v.invite(nil, now)
		v.invite(nil, now) // nobody uses it
		if !v.take(c.code, diagnostics.Vantage{At: now, Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}) || v.take(c.code, diagnostics.Vantage{At: now}) {
			t.Fatal("a code tells once")
		}
	}
	if len(v.open) > vantageMost || len(v.list(now)) != vantageMost {
		t.Errorf("%d codes, %d devices", len(v.open), len(v.list(now)))
	}
	var limited bool
	for range 2 * vantageBurst {
		_, err := v.known("x", now)
		limited = limited || err != nil && err.Status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("codes may be tried without end")
	}
}

// Others have reached the hub where another device than the one in question did.
func TestAnotherDeviceThatReachedTheHubIsAWitness(t *testing.T) {
	v := openView(t)
	a, b := netip.MustParseAddr("192.168.7.77"), netip.MustParseAddr("192.168.7.78")
	if v.hub.vantages.others(b, v.hub.now()) {
		t.Error("the hub's own machine is taken for another device")
	}
	self := httptest.NewRequest("GET", "/healthz", nil)
	self.RemoteAddr = "192.168.7.76:5000"
	v.hub.hear(self.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 168, 7, 76), Port: 8080})))
	if v.hub.vantages.others(b, v.hub.now()) {
		t.Error("a till on the hub's machine is taken for another device")
	}
	v.from(a.String(), "GET", "/healthz", "")
	if !v.hub.vantages.others(b, v.hub.now()) || v.hub.vantages.others(a, v.hub.now()) || v.hub.vantages.others(b, v.hub.now().Add(metFor)) {
		t.Error("who reached the hub is not told apart")
	}
}

// Whatever a device sends, what is kept is of the readers that it was asked for.
func FuzzParseVantage(f *testing.F) {
	f.Add([]byte(browserWord("x", "denied", diagnostics.SightBlocked, diagnostics.SightSilent)))
	f.Add([]byte(`{"readers":[{"address":"192.168.7.30","sight":"answered","ms":1}]} `))
	f.Add([]byte(`{"hub_ms":[-1,60000]}{}`))
	asked := []netip.Addr{netip.MustParseAddr("192.168.7.30"), netip.MustParseAddr("192.168.7.31")}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseVantage(body)
		if err != nil {
			return
		}
		v, err := r.seen(asked)
		if err != nil {
			return
		}
		if len(v.Readers) > len(asked) || v.HubMS < 0 || v.HubMS > vantageSlowest || v.Lost > vantageAsks {
			t.Errorf("%+v", v)
		}
		for _, x := range v.Readers {
			if !slices.Contains(asked, x.Addr) {
				t.Errorf("kept %s", x.Addr)
			}
		}
		if b, err := json.Marshal(v); err != nil || len(b) == 0 {
			t.Error(err)
		}
	})
}
