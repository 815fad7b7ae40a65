// Package stripemock holds requests against Stripe's own description of its
// API: it runs Stripe's stripe-mock, which knows every call and its parameters
// and keeps no state. It is for tests.
//
// A TestMain starts it, gives Mirror to the sandbox, and after the tests fails
// if Check returns anything:
//
//	mock, err := stripemock.Start()
//	…
//	code := m.Run()
//	for _, refusal := range mock.Check() {
//		fmt.Fprintln(os.Stderr, refusal)
//		code = 1
//	}
//	mock.Close()
package stripemock

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mock is two running stripe-mocks: one of what is generally available, one of
// the preview.
type Mock struct {
	ga, preview *process

	mu       sync.Mutex
	requests map[string]request // by shape
}

// request is one to be checked.
type request struct {
	method, target, contentType, version string
	body                                 []byte
}

// Start builds stripe-mock if this machine has not got it yet, and starts it twice.
func Start() (*Mock, error) {
	binary, err := build()
	if err != nil {
		return nil, err
	}
	ga, err := start(binary)
	if err != nil {
		return nil, err
	}
	preview, err := start(binary, "-beta")
	if err != nil {
		ga.stop()
		return nil, err
	}
	return &Mock{ga: ga, preview: preview, requests: map[string]request{}}, nil
}

// Close ends both.
func (m *Mock) Close() {
	m.ga.stop()
	m.preview.stop()
}

// URL is the base of the one that is generally available.
func (m *Mock) URL() string { return m.ga.url }

// exempt are paths that are not calls of a backend's, with the reason.
var exempt = map[string]string{
	"/v1/terminal/connection_tokens/activate": "the reader's SDK redeems tokens there; Stripe describes it nowhere",
}

// previewOnly are parameters that only the preview describes, with the reason.
var previewOnly = map[string]string{
	"reader_security": "the admin passcode of readers is in preview versions only",
}

// Mirror collects a request, one of each method, path and shape of parameters.
// It has the type of the sandbox's option.
func (m *Mock) Mirror(r *http.Request, body []byte) {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/v1/") || exempt[path] != "" {
		return
	}
	key := r.Method + " " + idPattern.ReplaceAllString(path, "*") + " " + shape(r.URL.RawQuery) + " " + shape(string(body))
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.requests[key]; ok {
		return
	}
	m.requests[key] = request{
		method: r.Method, target: r.URL.RequestURI(), contentType: r.Header.Get("Content-Type"),
		version: r.Header.Get("Stripe-Version"), body: slices.Clone(body),
	}
}

var (
	idPattern    = regexp.MustCompile(`\b(acct|ch|cus|evt|pi|pm|re|seti|tmc|tml|tmr|we)_\w+`)
	indexPattern = regexp.MustCompile(`\[\d*\]`)
	metaPattern  = regexp.MustCompile(`^metadata\[.*\]$`)
)

// shape is the names of the parameters, each with the kind of its value.
func shape(form string) string {
	values, err := url.ParseQuery(form)
	if err != nil {
		return form
	}
	var out []string
	for name, vs := range values {
		name = metaPattern.ReplaceAllString(indexPattern.ReplaceAllString(name, "[]"), "metadata[]")
		out = append(out, name+"="+kind(vs[0]))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "&")
}

func kind(v string) string {
	switch {
	case v == "":
		return "empty"
	case v == "true" || v == "false":
		return "flag"
	case strings.Trim(v, "0123456789") == "":
		return "number"
	default:
		return "text"
	}
}

// Requests is how many different ones were collected.
func (m *Mock) Requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.requests)
}

// Check sends what was collected to the mock and returns what it refuses, one
// line each. Calls with a parameter of the preview go to the preview's mock. It
// is a refusal, too, if nothing was collected: then nothing was proved.
func (m *Mock) Check() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.requests) == 0 {
		return []string{"no request was mirrored"}
	}
	keys := make([]string, 0, len(m.requests))
	for k := range m.requests {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var refused []string
	for _, k := range keys {
		r := m.requests[k]
		base := m.ga.url
		if r.preview() {
			base = m.preview.url
		}
		if err := r.post(base); err != nil {
			refused = append(refused, fmt.Sprintf("%s %s %s: %v", r.method, r.target, r.body, err))
		}
	}
	return refused
}

func (r request) preview() bool {
	if !strings.HasSuffix(r.version, ".preview") {
		return false
	}
	values, err := url.ParseQuery(string(r.body))
	if err != nil {
		return false
	}
	for name := range values {
		name, _, _ = strings.Cut(name, "[")
		if previewOnly[name] != "" {
			return true
		}
	}
	return false
}

func (r request) post(base string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.target, strings.NewReader(string(r.body)))
	if err != nil {
		return err
	}
	// Any key of test shape opens the mock; the test's own stays where it is.
	req.Header.Set("Authorization", "Bearer sk_test_123")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, strings.Join(strings.Fields(string(body)), " "))
	}
	return nil
}

// process is one running stripe-mock.
type process struct {
	url string
	cmd *exec.Cmd
	out *io.PipeReader
}

// start runs the binary on loopback ports that the system chooses and waits
// until it listens.
func start(binary string, args ...string) (*process, error) {
	args = append(args, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	cmd := exec.Command(binary, args...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	tieToParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start stripe-mock: %w", err)
	}
	p := &process{cmd: cmd, out: r}
	told := make(chan string, 1)
	go p.read(told)
	var err error
	select {
	case line := <-told:
		if _, at, ok := strings.Cut(line, "HTTP at address: "); ok {
			p.url = "http://" + strings.TrimSpace(at)
			return p, nil
		}
		err = fmt.Errorf("it said %q", line)
	case <-time.After(30 * time.Second):
		err = errors.New("it did not listen within 30 s")
	}
	p.stop()
	return nil, fmt.Errorf("start stripe-mock: %w", err)
}

// read hands on the line that tells the address, or the last one there was, and
// then lets the process talk to nobody.
func (p *process) read(told chan<- string) {
	lines := bufio.NewScanner(p.out)
	last := ""
	for lines.Scan() {
		last = cmp.Or(lines.Text(), last)
		if strings.Contains(last, "HTTP at address: ") {
			break
		}
	}
	told <- last
	_, _ = io.Copy(io.Discard, p.out) // ends when stop closes it
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.cmd.Wait()         // says that it was killed
	p.out.Close()
}
