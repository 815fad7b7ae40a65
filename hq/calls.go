package hq

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"storehub/doors"
)

// connectionToken asks Stripe for a token of the store's Location, whatever the
// till would have liked. It is asked for once: an SDK asks again by itself.
func (s *Server) connectionToken(ctx context.Context, st record, t doors.Till) (json.RawMessage, error) {
	stripe, err := s.admit(st, t)
	if err != nil {
		return nil, err
	}
	raw, err := stripe.ConnectionToken(WithPriority(ctx, ForTokens, time.Time{}), st.Account, st.Location)
	s.heard(ctx, st.Mode, "connection_token", err)
	if err != nil {
		return nil, refusalFrom(err)
	}
	return raw, nil
}

// admit checks what holds for every till: its mode is the store's, and it is not
// only there to watch.
func (s *Server) admit(st record, t doors.Till) (Stripe, error) {
	switch t.Scope {
	case doors.ScopePOS, doors.ScopeManager:
	case doors.ScopeMonitor:
		return nil, doors.ErrForbidden.With("scope monitor may only watch")
	default:
		return nil, doors.ErrInvalidField.With("till.scope must be pos, manager or monitor")
	}
	if t.Mode != st.Mode {
		return nil, doors.ErrModeMismatch.With("the till is of mode %q, the store of mode %q", t.Mode, st.Mode)
	}
	return s.stripe(st.Mode)
}

// call passes one call on to Stripe, within what the till and the store may do.
func (s *Server) call(ctx context.Context, st record, t doors.Till, name doors.Call, key string, params url.Values) (json.RawMessage, error) {
	rule, ok := callRules[name]
	if !ok {
		return nil, doors.ErrNotFound.With("call %q is not known", name)
	}
	stripe, err := s.admit(st, t)
	if err != nil {
		return nil, err
	}
	switch {
	case rule.manager && t.Scope != doors.ScopeManager:
		return nil, doors.ErrForbidden.With("%s needs scope manager", name)
	case rule.testOnly && st.Mode != doors.Test:
		return nil, doors.ErrForbidden.With("%s is off in live mode", name)
	case rule.keyed && key == "":
		return nil, doors.ErrKeyMissing
	case len(key) > 255:
		return nil, doors.ErrKeyMissing.With("the Idempotency-Key is longer than 255 characters")
	}
	if !rule.reads {
		ctx = WithPriority(ctx, ForMoney, s.now()) // a customer waits
	}
	c := &call{name: name, rule: rule, st: st, till: t, stripe: stripe}
	if c.params, err = rule.filter(params); err != nil {
		return nil, err
	}
	if rule.check != nil {
		if err := rule.check(ctx, s, c); err != nil {
			return nil, err
		}
	}
	stripeKey := "call_" + uuid.NewString()
	if key != "" {
		stripeKey = callKey(st.ID, t, name, key)
	}
	var raw json.RawMessage
	if rule.keyed {
		raw, err = s.armReader(ctx, c, stripeKey)
	} else {
		raw, err = s.ask(ctx, c, stripeKey)
	}
	if err != nil {
		return nil, refusalFrom(err)
	}
	if rule.after != nil {
		return rule.after(ctx, s, c, raw)
	}
	return raw, nil
}

// ask repeats the call under its one key while the till still waits and Stripe
// has not answered clearly.
func (s *Server) ask(ctx context.Context, c *call, key string) (json.RawMessage, error) {
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		raw, err := c.stripe.Call(ctx, c.st.Account, c.name, key, c.params)
		s.heard(ctx, c.st.Mode, string(c.name), err)
		if err == nil || judgeAnswer(err) != inDoubt || refusedHere(err) ||
			refusalOf(err, http.StatusUnauthorized) || refusalOf(err, http.StatusForbidden) {
			return raw, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// callKey derives the key sent to Stripe, so that two tills never meet on one.
func callKey(store string, t doors.Till, name doors.Call, key string) string {
	h := sha256.New()
	for _, f := range []string{store, string(t.Mode), t.Name, string(name), key} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(f))) // a hash takes everything
		h.Write([]byte(f))
	}
	return "call_" + hex.EncodeToString(h.Sum(nil))
}

// refusalFrom puts Stripe's answer into the words of the doors; silence is told
// from a refusal.
func refusalFrom(err error) error {
	var known *doors.Error
	if errors.As(err, &known) {
		return known
	}
	var e *StripeError
	if !errors.As(err, &e) {
		return doors.ErrStripeSilent
	}
	var r doors.Error
	switch {
	case e.Type == "idempotency_error" && e.Status != http.StatusConflict:
		r = *doors.ErrKeyReused
	case e.Status == http.StatusTooManyRequests:
		r = *doors.ErrRateLimited
		r.RetryAfter = int(math.Ceil(e.RetryAfter.Seconds()))
		if e.RetryAfter == 0 { // Stripe does not say
			r.RetryAfter = 1 + rand.N(4)
		}
	case e.Status >= 500:
		r = *doors.ErrStripeSilent.With("Stripe answered %d", e.Status)
	default:
		r = *doors.ErrStripeRefused
		r.Message = e.Message
		r.OperatorMessage = doors.Words(e.Code, e.DeclineCode)
	}
	r.Stripe, r.DeclineCode = e.Code, e.DeclineCode
	return &r
}
