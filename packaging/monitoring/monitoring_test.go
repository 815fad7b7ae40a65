// Package monitoring is what a monitoring team takes over: rules, alerts,
// dashboards and configurations for Prometheus and Grafana. Its tests run them
// through Prometheus' own tools, and against a whole shop with a real Prometheus.
package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"storehub/internal/freeport"
	"storehub/internal/sandbox"
	"storehub/internal/storesim"
)

func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "promtool", args...)
	c.Stdin = strings.NewReader(stdin)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolApproves(t *testing.T) {
	promtool(t, "", "check", "rules", "recording.yml", "alerts.yml")
	promtool(t, "", "check", "config", "prometheus.yml")
	promtool(t, "", "check", "config", "--agent", "agent.yml")
	promtool(t, "", "test", "rules", "alerts_test.yml")
}

type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) (list []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	read(t, "alerts.yml", &file)
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
}

// TestEveryAlertIsToldOfAndTried holds each alert to a case in which it is told,
// one in which it is not, a severity, and a page that says what to do.
func TestEveryAlertIsToldOfAndTried(t *testing.T) {
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `yaml:"alertname"`
				ExpAlerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, "alerts_test.yml", &tests)
	told, quiet := map[string]bool{}, map[string]bool{}
	for _, group := range tests.Tests {
		for _, c := range group.AlertRuleTest {
			told[c.Alertname] = told[c.Alertname] || len(c.ExpAlerts) > 0
			quiet[c.Alertname] = quiet[c.Alertname] || len(c.ExpAlerts) == 0
		}
	}
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts(t) {
		if !told[a.Alert] || !quiet[a.Alert] {
			t.Errorf("%s: told in a test %v, quiet in one %v", a.Alert, told[a.Alert], quiet[a.Alert])
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		page := "../../" + a.Annotations["runbook"]
		text, err := os.ReadFile(page)
		if err != nil {
			t.Errorf("%s: %v", a.Alert, err)
			continue
		}
		for _, part := range []string{"# " + a.Alert + "\n", "\n**Severity:** " + a.Labels["severity"] + ".", "\n## What it means\n", "\n## What to do\n"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s does not hold %q", page, part)
			}
		}
		pages = slices.DeleteFunc(pages, func(p string) bool { return p == page || filepath.Base(p) == "README.md" })
	}
	if len(pages) > 0 {
		t.Errorf("runbooks without an alert: %v", pages)
	}
}

// shipped is a file of this package, with what tells a real shop from this one
// replaced: each old text has to be there. Minutes of patience become seconds.
func shipped(t *testing.T, dir, name string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\bfor: (\d+)[mh]\b`).ReplaceAllString(string(b), "for: ${1}s")
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s does not hold %q", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// prometheus runs one until the test's end.
func prometheus(t *testing.T, args ...string) {
	t.Helper()
	var log bytes.Buffer
	c := exec.CommandContext(t.Context(), "prometheus", args...)
	c.Stdout, c.Stderr = &log, &log
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 20 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait() // its status says that it was ended
		if t.Failed() {
			t.Logf("prometheus %s:\n%s", args[0], log.String())
		}
	})
}

func get(t *testing.T, address string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil // it does not listen yet
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, b
}

// query is how many series an expression gives now; -1: it is no expression.
func query(t *testing.T, at, expr string) int {
	t.Helper()
	status, b := get(t, at+"/api/v1/query?query="+url.QueryEscape(expr))
	var a struct{ Data struct{ Result []any } }
	switch {
	case status == http.StatusBadRequest:
		t.Logf("%s: %s", expr, b)
		return -1
	case status != http.StatusOK || json.Unmarshal(b, &a) != nil:
		return 0
	}
	return len(a.Data.Result)
}

// patience is for what hub, headquarters and two Prometheus do one after another,
// each every few seconds: Stripe's word on a reader alone may take half a minute.
const patience = 3 * time.Minute

// TestARealPrometheusSeesAReaderUnplugged is the pack at work: the agent of a shop
// scrapes its hub and sends what it saw to a Prometheus that scrapes headquarters
// and evaluates the rules. A reader is unplugged; its alert is told, and no other
// reader's. Every query of the dashboards has series there.
func TestARealPrometheusSeesAReaderUnplugged(t *testing.T) {
	s := storesim.Open(t)
	restartAnotherTime(s)
	readers := lanReaders(t, s)
	plug := listen(t, readers[0].address)
	listen(t, readers[1].address)
	unplugged := readers[0]

	till := s.Till()
	till.Token()
	till.WantCapture(till.Authorise(1800), http.StatusOK)
	if a := till.API(http.MethodGet, "/v1/checklist", "", ""); a.Status != http.StatusOK { // it has the hub ask what the readers are told
		t.Fatalf("look at the checklist: %d %s", a.Status, a.Body)
	}
	if a := till.API(http.MethodPost, "/v1/operations", "stored-1", `{"kind":"offline_payment","ref":"0d6f0a30-6a6e-4f6c-9a53-0123456789ab","amount":1250,"currency":"usd","data":{"order":"A-1"}}`); a.Status != http.StatusAccepted {
		t.Fatalf("record an offline payment: %d %s", a.Status, a.Body)
	}

	dir, listens := t.TempDir(), []string{"", ""}
	for i := range listens {
		address, err := freeport.Address()
		if err != nil {
			t.Fatal(err)
		}
		listens[i] = address
	}
	central := "http://" + listens[0]
	shipped(t, dir, "recording.yml")
	shipped(t, dir, "alerts.yml")
	prometheus(t, "--config.file="+shipped(t, dir, "prometheus.yml", "interval: 15s", "interval: 1s",
		`"127.0.0.1:9743"`, "", "127.0.0.1:7480", strings.TrimPrefix(s.System().HQURL, "http://")),
		"--storage.tsdb.path="+filepath.Join(dir, "central"), "--web.listen-address="+listens[0], "--web.enable-remote-write-receiver")
	prometheus(t, "--enable-feature=agent", "--config.file="+shipped(t, dir, "agent.yml", "interval: 15s", "interval: 1s",
		"127.0.0.1:9743", strings.TrimPrefix(s.System().HubURL, "http://"), "127.0.0.1:9090", listens[0]),
		"--storage.agent.path="+filepath.Join(dir, "agent"), "--web.listen-address="+listens[1])

	until := func(what string, happened func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !happened(); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited %v: %s", patience, what)
			}
		}
	}
	has := func(expr string) func() bool { return func() bool { return query(t, central, expr) > 0 } }
	until("the agent's word of the hub arrives", has(`up{job="storehub", instance="store-0412"} == 1`))
	until("headquarters is scraped", has(`up{job="storehub-hq"} == 1`))
	on := fmt.Sprintf(`storehub_reader_reachable{serial=%q} == 1 and storehub_reader_online == 1`, unplugged.serial)
	until("the reader is on", has(on))
	until("readers do not restart at this hour", has(`storehub_reader_update_window_active{instance="store-0412"} == 0`))
	for _, address := range []string{s.System().HubURL, s.System().HQURL} {
		status, text := get(t, address+"/metrics")
		if status != http.StatusOK {
			t.Fatalf("scrape %s: %d", address, status)
		}
		promtool(t, string(text), "check", "metrics")
	}

	plug()
	s.Stripe().SetReader(unplugged.id, sandbox.ReaderState{Offline: true, Address: unplugged.addr(), Device: "stripe_s700"})
	firing := `ALERTS{alertname="StoreHubReaderUnplugged", alertstate="firing", instance="store-0412"}`
	until("the alert is told", has(firing))
	if n := query(t, central, firing); n != 1 || !has(fmt.Sprintf(`ALERTS{alertname="StoreHubReaderUnplugged", alertstate="firing", serial=%q, severity="warning"}`, unplugged.serial))() {
		t.Errorf("%d readers are told to be off, want %s alone", n, unplugged.serial)
	}
	for _, q := range dashboardQueries(t) {
		expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", "store-0412").Replace(q)
		until("the dashboards' query has series: "+expr, has(expr))
	}
}

// restartAnotherTime has the shop's readers restart at an hour that is not this one:
// no alert is told of a reader that may be restarting.
func restartAnotherTime(s *storesim.Store) {
	hour := time.Now().UTC().Add(12 * time.Hour).Hour()
	list := s.AtStripe(http.MethodGet, "/v1/terminal/configurations", url.Values{"is_account_default": {"true"}})
	data, _ := list["data"].([]any)
	for _, raw := range data {
		of, _ := raw.(map[string]any)
		s.AtStripe(http.MethodPost, fmt.Sprintf("/v1/terminal/configurations/%v", of["id"]),
			url.Values{"reboot_window[start_hour]": {fmt.Sprint(hour)}, "reboot_window[end_hour]": {fmt.Sprint((hour + 1) % 24)}})
	}
}

// lanReader is a reader that has a place on this machine's own network.
type lanReader struct{ id, serial, address string }

func (r lanReader) addr() netip.Addr { return netip.MustParseAddrPort(r.address).Addr() }

// lanReaders gives the shop's first two readers a place each.
func lanReaders(t *testing.T, s *storesim.Store) (list []lanReader) {
	t.Helper()
	found := s.AtStripe(http.MethodGet, "/v1/terminal/readers", nil)
	data, _ := found["data"].([]any)
	for i, raw := range data[:min(2, len(data))] {
		at, _ := raw.(map[string]any)
		r := lanReader{address: fmt.Sprintf("127.0.0.%d:4443", 21+i)}
		r.id, _ = at["id"].(string)
		r.serial, _ = at["serial_number"].(string)
		if !s.Stripe().SetReader(r.id, sandbox.ReaderState{Address: r.addr(), Device: "stripe_s700"}) {
			t.Fatalf("no reader %q", r.id)
		}
		list = append(list, r)
	}
	if len(list) != 2 {
		t.Fatalf("the shop has no two readers: %v", found)
	}
	return list
}

// listen is a reader's open port; what is returned pulls its plug.
func listen(t *testing.T, address string) (unplug func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	unplug = func() { _ = l.Close(); <-done }
	t.Cleanup(unplug)
	return unplug
}

// dashboardQueries are all expressions that Grafana would ask.
func dashboardQueries(t *testing.T) (list []string) {
	t.Helper()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("dashboards: %v %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(b, &d); err != nil || len(d.Panels) < 10 {
			t.Fatalf("%s: %d panels, %v", file, len(d.Panels), err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				list = append(list, target.Expr)
			}
		}
	}
	return list
}
