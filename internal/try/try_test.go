package try

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, dir string) *System {
	t.Helper()
	s, err := Start(t.Context(), Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func ask(t *testing.T, method, url string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatalf("%s %s: %s: %q: %v", method, url, resp.Status, body, err)
		}
	}
	return resp.StatusCode
}

func TestSystemKeepsItsStateAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	if n := len(first.Readers()); n != 3 {
		t.Fatalf("the shop has %d readers, want 3", n)
	}
	pos, location, readers := first.POSCredential, first.Location(), strings.Join(first.Readers(), " ")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := start(t, dir)
	if second.POSCredential != pos || second.Location() != location || strings.Join(second.Readers(), " ") != readers {
		t.Errorf("after the restart: till %t, location %q, readers %q; want %q, %q",
			second.POSCredential == pos, second.Location(), second.Readers(), location, readers)
	}
	var token struct{ Secret string }
	if got := ask(t, http.MethodPost, second.POSURL+"/connection_token", &token); got != http.StatusOK || token.Secret == "" {
		t.Errorf("connection_token after the restart: %d", got)
	}
	if stale, err := filepath.Glob(filepath.Join(dir, "*.kept")); err != nil || len(stale) > 0 {
		t.Errorf("left behind: %v %v", stale, err)
	}
}

func TestTemporaryStateIsRemoved(t *testing.T) {
	s := start(t, "")
	dir := s.dir
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestHandsCutAndMendTheLines(t *testing.T) {
	s := start(t, "")
	for _, step := range []struct {
		deed  string
		token int
	}{{"internet/cut", http.StatusPaymentRequired}, {"internet/mend", http.StatusOK}, {"stripe/cut", http.StatusPaymentRequired}, {"stripe/mend", http.StatusOK}} {
		if got := ask(t, http.MethodPost, s.StripeURL+"/_try/"+step.deed, nil); got != http.StatusOK {
			t.Fatalf("%s answered %d", step.deed, got)
		}
		// The hub asks a line that was dead every few seconds.
		got := 0
		for end := time.Now().Add(30 * time.Second); got != step.token && time.Now().Before(end); {
			got = ask(t, http.MethodPost, s.POSURL+"/connection_token", nil)
			time.Sleep(20 * time.Millisecond)
		}
		if got != step.token {
			t.Errorf("after %s: connection_token answered %d, want %d", step.deed, got, step.token)
		}
	}
	for deed, want := range map[string]int{"hub/mend": http.StatusConflict, "hub/bite": http.StatusNotFound} {
		if got := ask(t, http.MethodPost, s.StripeURL+"/_try/"+deed, nil); got != want {
			t.Errorf("%s with the hub up answered %d, want %d", deed, got, want)
		}
	}
	if got := ask(t, http.MethodPost, s.StripeURL+"/_try/internet/bite", nil); got != http.StatusNotFound {
		t.Errorf("an unknown deed answered %d, want 404", got)
	}
}

// The links into headquarters' console let in once each, and end with nothing running.
func TestHeadquartersConsoleOpensBesideTheHubs(t *testing.T) {
	s := start(t, "")
	first, err := s.HQLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.StripeURL+"/_try/hq/link", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("another link: %s %v", resp.Status, err)
	}
	for _, link := range []string{first, strings.TrimSpace(string(b))} {
		page, code, found := strings.Cut(link, "?code=")
		if !found || page != s.HQURL+"/console/enter" {
			t.Fatalf("the link is %q", link)
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
		for n, want := range []int{http.StatusOK, http.StatusForbidden} {
			resp, err := browser.PostForm(page, url.Values{"code": {code}})
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != want || n == 0 && !strings.Contains(string(b), "Demo shop") {
				t.Errorf("use %d of the link: %s %v %.200s", n+1, resp.Status, err, b)
			}
		}
	}
	if err := s.StopHQ(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.HQLink(t.Context()); err == nil {
		t.Error("a headquarters that does not run made a link")
	}
}
