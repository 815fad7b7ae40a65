package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Seen is what another tool than the doctor showed of a fault.
type Seen struct {
	Took   time.Duration
	Probes []Probe
}

// Probe is one question of such a tool.
type Probe struct {
	Kind   string // ping, dns, https, page (a plain one) or reader
	Target string
	Failed string // what its output says, as one of the phrases; "" is success
	Said   string // the output itself
}

// compareTools are the programs a comparison needs besides a lab's.
var compareTools = []string{"prometheus-blackbox-exporter", "ping", "dig", "curl"}

// compared are the rows of the comparison; the sound shop shows that nobody is
// asked for what cannot be had.
var compared = []string{"healthy", "line-down", "dns-rebind", "dns-nxdomain", "firewall-drop", "name-reset", "inspection", "portal", "clock-ahead",
	"mtu-hole", "stripe-503", "reader-off", "address-twice"}

// What others are told to look at: all that a well-informed person would know to be needed.
var (
	comparedHosts = []string{"api.stripe.com", "armada.stripe.com", "gator.stripe.com", "api.emms.bbpos.com",
		"stripe-point-of-sale-us-west-2.s3.us-west-2.amazonaws.com"}
	comparedReaders = []string{reader1IP, reader2IP}
	comparedNames   = append(slices.Clone(comparedHosts), readersName)
)

// readersName is what a till asks for to reach a reader.
const readersName = "192-168-50-31.lab.device.stripe-terminal-local-reader.net"

// comparedPage is the page by which phones find a login page.
const comparedPage = "http://connectivitycheck.gstatic.com/generate_204"

// phrases are what an output may say, the most telling first.
var phrases = []struct{ phrase, words string }{
	{"unknown issuer", "unknown authority|unable to get local issuer|self-signed certificate|self signed certificate"},
	{"certificate out of its time", "certificate has expired|not yet valid"},
	{"no such name", "NXDOMAIN|rcode=3|no such host|Could not resolve host"},
	{"resolver refuses", "status: REFUSED|status: SERVFAIL|rcode=5|rcode=2|server misbehaving"},
	{"no address", "ANSWER: 0|Answer RRs validation failed|answer_rrs=0"},
	{"network unreachable", "Net Unreachable|network is unreachable"},
	{"nobody there", "no route to host|No route to host|Host Unreachable"},
	{"redirected", "status_code=302|http_code 302"},
	{"HTTP 503", "status_code=503|http_code 503"},
	{"reset", "connection reset|Connection reset"},
	{"refused", "connection refused|Connection refused|Couldn't connect|Port Unreachable"},
	{"silence", ""},
}

// phrase is the most telling phrase of a failed probe's output.
func phrase(said string) string {
	i := slices.IndexFunc(phrases, func(p struct{ phrase, words string }) bool {
		return slices.ContainsFunc(strings.Split(p.words, "|"), func(w string) bool { return strings.Contains(said, w) })
	})
	return phrases[i].phrase
}

// tells are the phrases that name a cause and not merely a symptom of it. Silence and
// a reset tell of no cause: a host that is down, one that is filtered and a line
// that swallows large packets look the same.
var tells = map[string][]string{
	"tls_intercepted":        {"https unknown issuer"},
	"stripe_failing":         {"https HTTP 503", "https certificate out of its time"},
	"dns_blocks_stripe":      {"dns no such name", "dns no address"},
	"dns_private_filtered":   {"dns no such name", "dns no address"},
	"reader_offline":         {"reader nobody there"},
	"captive_portal":         {"https redirected", "page redirected"},
	"clock_wrong":            {"https certificate out of its time"},
	"wan_down":               {"ping network unreachable"},
	"firewall_blocks_stripe": {"https nobody there"},
}

// Names says whether the output itself tells that cause.
func (s Seen) Names(code string) bool {
	dark := code == "wan_down" && len(s.Probes) > 0 // the router answers, and nothing beyond it does: that is plain enough
	for _, p := range s.Probes {
		if p.Failed != "" && slices.Contains(tells[code], p.Kind+" "+p.Failed) {
			return true
		}
		near := p.Kind == "reader" || p.Target == gatewayIP
		dark = dark && near == (p.Failed == "")
	}
	return dark
}

// String is what failed and how, in a few words.
func (s Seen) String() string {
	var order []string
	targets, asked := map[string][]string{}, map[string]int{}
	for _, p := range s.Probes {
		asked[p.Kind]++
		if p.Failed == "" {
			continue
		}
		key := p.Kind + ": " + p.Failed
		if targets[key] == nil {
			order = append(order, key)
		}
		switch p.Target {
		case readersName:
			p.Target = "a reader's name"
		case comparedPage:
			p.Target = "plain HTTP"
		}
		targets[key] = append(targets[key], p.Target)
	}
	for i, key := range order {
		kind, _, _ := strings.Cut(key, ":")
		who := strings.Join(targets[key], ", ")
		if n := len(targets[key]); n > 2 {
			who = fmt.Sprintf("%d of %d", n, asked[kind])
		}
		order[i] = key + " (" + who + ")"
	}
	if len(order) == 0 {
		return "all is well"
	}
	return strings.Join(order, "; ")
}

// trusting is an environment where the lab's authority alone is trusted, whatever this machine trusts.
func (s *Shop) trusting() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "SSL_CERT_FILE=" + filepath.Join(s.dir, "ca.pem"), "SSL_CERT_DIR=" + filepath.Join(s.dir, "empty")}
}

// person asks as people do, one thing after the other, and thinks no time at all between.
func (s *Shop) person() Seen {
	began := time.Now()
	var seen Seen
	ask := func(kind, target string, failed func(string) bool, args ...string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.ns("hub")}, args...)...)
		c.Env = append(s.trusting(), "LC_ALL=C", "CURL_CA_BUNDLE="+filepath.Join(s.dir, "ca.pem"))
		out, err := c.CombinedOutput()
		p := Probe{Kind: kind, Target: target, Said: string(out)}
		if err != nil || failed(p.Said) {
			p.Failed = phrase(p.Said)
		}
		seen.Probes = append(seen.Probes, p)
	}
	never := func(string) bool { return false }
	for _, to := range []string{gatewayIP, cloudDNS} {
		ask("ping", to, never, "ping", "-n", "-c", "3", "-W", "2", to)
	}
	for _, name := range comparedNames {
		ask("dns", name, func(said string) bool {
			return !strings.Contains(said, "NOERROR") || strings.Contains(said, "ANSWER: 0")
		},
			"dig", "+time=2", "+tries=2", name, "A")
	}
	for _, host := range comparedHosts {
		ask("https", host, func(said string) bool { return !strings.Contains(said, "http_code 2") },
			"curl", "-sS", "-o", "/dev/null", "-w", "http_code %{http_code}\n", "--connect-timeout", "5", "-m", "10", "https://"+host+"/")
	}
	ask("page", comparedPage, func(said string) bool { return !strings.Contains(said, "http_code 204") },
		"curl", "-sS", "-o", "/dev/null", "-w", "http_code %{http_code}\n", "--connect-timeout", "5", "-m", "10", comparedPage)
	for _, to := range comparedReaders {
		ask("reader", to, never, "ping", "-n", "-c", "3", "-W", "2", to)
	}
	seen.Took = time.Since(began)
	return seen
}

const blackboxAt = "127.0.0.1:9115"

// startBlackbox starts the exporter on the hub and waits for it.
func (s *Shop) startBlackbox() error {
	conf := `modules:
  ping: {prober: icmp, timeout: 5s, icmp: {preferred_ip_protocol: ip4}}
  reader: {prober: tcp, timeout: 5s, tcp: {preferred_ip_protocol: ip4}}
  https: {prober: http, timeout: 9s, http: {preferred_ip_protocol: ip4, ip_protocol_fallback: false, fail_if_not_ssl: true, no_follow_redirects: true}}
  page: {prober: http, timeout: 9s, http: {preferred_ip_protocol: ip4, ip_protocol_fallback: false, no_follow_redirects: true, valid_status_codes: [204]}}
`
	for i, name := range comparedNames {
		conf += fmt.Sprintf("  dns%d: {prober: dns, timeout: 5s, dns: {query_name: %s, query_type: A, preferred_ip_protocol: ip4, validate_answer_rrs: {fail_if_none_matches_regexp: ['.*IN\\s+A\\s.*']}}}\n", i, name)
	}
	file := filepath.Join(s.dir, "blackbox.yml")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	c := exec.Command("ip", "netns", "exec", s.ns("hub"), "prometheus-blackbox-exporter", "--config.file="+file, "--web.listen-address="+blackboxAt, "--timeout-offset=0.5")
	c.Env = s.trusting()
	if err := s.start("blackbox", "sw", c); err != nil {
		return err
	}
	return until(10*time.Second, "the exporter", func() bool {
		conn, err := s.dial("hub", blackboxAt)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// blackbox scrapes all probes at once. They are asked to say all they know, which
// is more than their metrics do.
func (s *Shop) blackbox() (Seen, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.dial("hub", blackboxAt) }}}
	began := time.Now()
	var plan []Probe
	var modules, targets []string
	add := func(kind, about, module, target string) {
		plan, modules, targets = append(plan, Probe{Kind: kind, Target: about}), append(modules, module), append(targets, target)
	}
	for _, to := range []string{gatewayIP, cloudDNS} {
		add("ping", to, "ping", to)
	}
	for i, name := range comparedNames {
		add("dns", name, fmt.Sprint("dns", i), gatewayIP+":53")
	}
	for _, host := range comparedHosts {
		add("https", host, "https", "https://"+host+"/")
	}
	add("page", comparedPage, "page", comparedPage)
	for _, to := range comparedReaders {
		add("reader", to, "reader", net.JoinHostPort(to, "4443"))
	}
	failed := make([]error, len(plan))
	var all sync.WaitGroup
	for i := range plan {
		all.Go(func() { failed[i] = plan[i].scrape(&client, modules[i], targets[i]) })
	}
	all.Wait()
	return Seen{Took: time.Since(began), Probes: plan}, errors.Join(failed...)
}

// scrape asks the exporter for one probe, as Prometheus does.
func (p *Probe) scrape(client *http.Client, module, target string) error {
	q, err := http.NewRequest(http.MethodGet, "http://"+blackboxAt+"/probe?"+url.Values{"module": {module}, "target": {target}, "debug": {"true"}}.Encode(), nil)
	if err != nil {
		return err
	}
	q.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10") // Prometheus' usual
	resp, err := client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	p.Said = string(said)
	switch {
	case strings.Contains(p.Said, "\nprobe_success 0"):
		p.Failed = phrase(p.Said)
	case !strings.Contains(p.Said, "\nprobe_success 1"):
		return fmt.Errorf("probe %s %s: no result: %.200q", p.Kind, p.Target, said)
	}
	return nil
}
