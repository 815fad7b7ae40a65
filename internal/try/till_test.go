package try

import (
	"net/http"
	"strings"
	"testing"
)

// TestTheDemoTillTellsItsCredentialToNoOtherPage: another page, and a name that somebody
// pointed here, get nothing. That the till sells is told in a browser, in packaging/js.
func TestTheDemoTillTellsItsCredentialToNoOtherPage(t *testing.T) {
	s := start(t, "")
	for _, c := range []struct {
		name, path, host, site string
		want                   int
	}{
		{"its own page", "shop.json", "", "same-origin", http.StatusOK},
		{"a person", "", "", "none", http.StatusOK},
		{"the client", "client/index.js", "", "same-origin", http.StatusOK},
		{"another page", "shop.json", "", "cross-site", http.StatusForbidden},
		{"a page of another port", "shop.json", "", "same-site", http.StatusForbidden},
		{"another name", "shop.json", "evil.example", "same-origin", http.StatusForbidden},
		{"what is not there", "secrets.json", "", "same-origin", http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.StripeURL+"/_try/till/"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		req.Header.Set("Sec-Fetch-Site", c.site)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s gets %d, want %d", c.name, resp.StatusCode, c.want)
		}
		if policy := resp.Header.Get("Content-Security-Policy"); c.want == http.StatusOK && !strings.Contains(policy, "connect-src 'self' "+s.HubURL+" "+s.HQURL+";") {
			t.Errorf("%s comes with the policy %q", c.name, policy)
		}
	}
}
