package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// keyLife is how long Stripe promises to know a key. The sandbox forgets at the
// first moment that Stripe may.
const keyLife = 24 * time.Hour

// storedAnswer is the first answer under a key, as it was: refusals and
// troubles of Stripe's own are kept like successes.
type storedAnswer struct {
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	Params  string    `json:"params"` // hash of them
	At      time.Time `json:"at"`
	Status  int       `json:"status"` // 0: the first request is still being worked on
	Body    string    `json:"body"`
	Request string    `json:"request"`
}

// underKey executes a request, or answers as it was answered before under the
// same key. hang means that the request holds its key and stays silent.
func (s *Sandbox) underKey(c *call, r *http.Request) (a *answer, hang bool) {
	if c.key == "" || r.Method != http.MethodPost {
		if c.fault == faultHang {
			return nil, true
		}
		return s.execute(c), false
	}
	sum := sha256.Sum256([]byte(c.form.encode()))
	params := hex.EncodeToString(sum[:])
	old := s.st.Answers[c.key]
	if old != nil && old.forgotten(s.now()) {
		old = nil
	}
	if c.fault == faultHang {
		if old == nil {
			s.st.Answers[c.key] = &storedAnswer{Method: r.Method, Path: r.URL.Path, Params: params, At: s.now(), Request: c.requestID}
		}
		return nil, true
	}
	if old != nil {
		return c.replay(old, r, params), false
	}
	a = s.execute(c)
	if c.begun {
		s.st.Answers[c.key] = &storedAnswer{Method: r.Method, Path: r.URL.Path, Params: params, At: s.now(), Request: c.requestID,
			Status: a.status, Body: string(a.body)}
	}
	return a, false
}

// replay answers a request whose key is known.
func (c *call) replay(old *storedAnswer, r *http.Request, params string) *answer {
	switch {
	case old.Method != r.Method || old.Path != r.URL.Path:
		return c.refuse(mismatch("endpoint", c.key))
	case old.Params != params:
		return c.refuse(mismatch("parameters", c.key))
	case old.Status == 0:
		return c.refuse(&apiError{
			Status: http.StatusConflict, Type: invalidRequest, Code: "idempotency_key_in_use", Retry: "true",
			Message: "There is currently another in-progress request using this Idempotency-Key: " + c.key + ".",
		})
	}
	a := &answer{status: old.Status, body: []byte(old.Body), headers: c.headers()}
	a.headers["Idempotent-Replayed"] = "true"
	a.headers["Original-Request"] = old.Request
	return a
}

func mismatch(what, key string) *apiError {
	return &apiError{
		Status: http.StatusBadRequest, Type: idempotency,
		Message: "Keys for idempotent requests can only be used with the " + what +
			" they were first used with. Try another key than '" + key + "' if you meant another request.",
	}
}

// release frees the key of a request that hung and had no effect.
func (s *Sandbox) release(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.st.Answers[c.key]; kept != nil && kept.Status == 0 && kept.Request == c.requestID {
		delete(s.st.Answers, c.key)
	}
}

func (a *storedAnswer) forgotten(now time.Time) bool {
	return a.Status != 0 && now.Sub(a.At) >= keyLife
}

// forgetKeys drops what is older than Stripe promises to remember.
func (s *Sandbox) forgetKeys(now time.Time) {
	for k, a := range s.st.Answers {
		if a.forgotten(now) {
			delete(s.st.Answers, k)
		}
	}
}
