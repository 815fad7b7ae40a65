package sandbox

import (
	"net/http"
	"strings"
)

// Fault is a trouble on request. It befalls the next Times requests that match.
//
// Kinds that strike before Stripe looks at the request, so that nothing is kept
// under its key: "429" (over the rate), "lock_timeout" (429, an object is in
// use), "503" (a gateway's page, not JSON), "reset" (cut without answer).
// "hang" holds the request and its key, without effect, until the client goes
// away; meanwhile the key is in use (409). "500" fails after execution began
// and before any effect, "500-after" after the effect; both are kept under the
// key and replayed. "lost" cuts the connection after the effect.
//
// A cut connection has carried a first byte, so that net/http does not quietly
// send the request again.
type Fault struct {
	Method string `json:"method,omitempty"` // "": any
	Path   string `json:"path,omitempty"`   // a prefix, a pattern such as /v1/payment_intents/*/capture, or a whole path with $ behind it; "": any
	Kind   string `json:"kind"`
	Times  int    `json:"times,omitempty"` // 0: until Clear
}

const (
	faultLimit      = "429"
	faultLock       = "lock_timeout"
	faultGateway    = "503"
	faultReset      = "reset"
	faultHang       = "hang"
	faultError      = "500"
	faultErrorAfter = "500-after"
	faultLost       = "lost"
)

func knownFault(kind string) bool {
	switch kind {
	case faultLimit, faultLock, faultGateway, faultReset, faultHang, faultError, faultErrorAfter, faultLost:
		return true
	}
	return false
}

// Inject adds a fault. Of several that match a request the oldest strikes. A
// kind that does not exist is a mistake of the caller's and panics.
func (s *Sandbox) Inject(f Fault) {
	if !knownFault(f.Kind) {
		panic("sandbox: no such fault: " + f.Kind)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Clear removes all faults.
func (s *Sandbox) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// strike returns the kind of the fault that befalls the request, and counts it.
func (s *Sandbox) strike(r *http.Request) string {
	for i, f := range s.faults {
		if f.Method != "" && f.Method != r.Method || !matchPath(f.Path, r.URL.Path) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return f.Kind
	}
	return ""
}

// matchPath takes a pattern with * for one segment as a whole path, one with $ at
// its end as it is, and one with neither as a prefix.
func matchPath(pattern, path string) bool {
	if whole, ok := strings.CutSuffix(pattern, "$"); ok {
		return whole == path
	}
	if !strings.Contains(pattern, "*") {
		return strings.HasPrefix(path, pattern)
	}
	_, ok := matchSegments(pattern, path)
	return ok
}

func limited(kind string) *apiError {
	e := &apiError{Status: http.StatusTooManyRequests, Type: invalidRequest, Code: "rate_limit",
		Message: "Request rate limit exceeded.", Limited: "endpoint-rate"}
	if kind == faultLock {
		e.Code, e.Limited, e.Retry = "lock_timeout", "", "true"
		e.Message = "This object cannot be accessed right now because another request or process is accessing it."
	}
	return e
}

func failure() *apiError {
	return &apiError{Status: http.StatusInternalServerError, Type: apiFailure,
		Message: "An unknown error occurred while the request was worked on."}
}

// gateway is what a load balancer answers in Stripe's place.
func (c *call) gateway() *answer {
	return &answer{
		status:  http.StatusServiceUnavailable,
		body:    []byte("<html><body><h1>503 Service Unavailable</h1></body></html>\n"),
		headers: map[string]string{"Content-Type": "text/html"},
	}
}

// hang keeps the request until its client goes away or the sandbox closes.
func (s *Sandbox) hang(r *http.Request, c *call) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
	s.release(c)
}

// cut ends the connection without an answer. The first bytes of one are sent,
// since net/http repeats a request by itself when a reused connection dies
// before any, and a test that wants a lost answer would see none.
func cut(w http.ResponseWriter) {
	if conn, buf, err := http.NewResponseController(w).Hijack(); err == nil {
		_, _ = buf.WriteString("HTTP/1.1 ")
		_ = buf.Flush() // the client may be gone; so be it
		conn.Close()
		return
	}
	panic(http.ErrAbortHandler)
}
