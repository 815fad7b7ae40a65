package netcheck

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHeadquarters(t *testing.T) {
	status := http.StatusOK
	hq := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer hq.Close()
	dir := t.TempDir()
	own := filepath.Join(dir, "hq.pem")
	must(t, os.WriteFile(own, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hq.Certificate().Raw}), 0o600))
	empty := filepath.Join(dir, "empty.pem")
	must(t, os.WriteFile(empty, nil, 0o600))
	gone := httptest.NewServer(nil)
	gone.Close()

	tests := []struct {
		name    string
		targets Targets
		status  int
		want    Status
		detail  string
	}{
		{"it lives", Targets{HQ: hq.URL, HQCAFile: own}, 200, Pass, "answers"},
		{"it lives under a path", Targets{HQ: hq.URL + "/", HQCAFile: own}, 200, Pass, "answers"},
		{"a refusal is a sign of life", Targets{HQ: hq.URL, HQCAFile: own}, 401, Pass, "answers"},
		{"it fails", Targets{HQ: hq.URL, HQCAFile: own}, 503, Fail, "HTTP 503"},
		{"its certificate proves nothing", Targets{HQ: hq.URL}, 200, Fail, "certificate"},
		{"nobody is there", Targets{HQ: gone.URL}, 200, Fail, "refused"},
		{"no authority in the file", Targets{HQ: hq.URL, HQCAFile: empty}, 200, Unknown, "holds no certificate"},
		{"no such file", Targets{HQ: hq.URL, HQCAFile: filepath.Join(dir, "none")}, 200, Unknown, "hq.ca_file"},
		{"no URL", Targets{HQ: "headquarters"}, 200, Unknown, `"headquarters"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status = tt.status
			r := newChecker(tt.targets).probeHQ(t.Context())
			if r.Status != tt.want || !strings.Contains(r.Detail, tt.detail) {
				t.Errorf("%s: %s; want %s … %s", r.Status, r.Detail, tt.want, tt.detail)
			}
			if (r.Status == Fail) != (r.Code == "hq_unreachable") {
				t.Errorf("%s with code %q", r.Status, r.Code)
			}
		})
	}
}

func TestHeadquartersOnThisMachineNeedsNoNetwork(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	w := newWorld(t)
	w.cards = w.cards[:1]
	if p := probes(w.run(Targets{HQ: gone.URL}))["hq"]; p.Status != Fail {
		t.Errorf("hq is %s because of %q, though it is on this machine", p.Status, p.Because)
	}
}

func TestHeadquartersByNameIsLookedUpAsTheShopDoes(t *testing.T) {
	w := newWorld(t)
	w.say = saying("hq.example", 0, "10.5.5.5")
	w.fate["tcp 10.5.5.5:8443"] = "unreachable"
	p := probes(w.run(Targets{HQ: "https://hq.example:8443"}))["hq"]
	if p.Status != Fail || p.Evidence["problem"] != "unreachable" {
		t.Errorf("%s: %s %v", p.Status, p.Detail, p.Evidence)
	}
}
