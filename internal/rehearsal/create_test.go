package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"

	"storehub/doors"
)

// counter makes payments and loses the first answers, or refuses.
type counter struct {
	doors.Backend
	made   []string // keys, in order
	lose   int
	refuse bool
}

func (c *counter) Stripe(_ context.Context, _ doors.Till, _ doors.Call, key string, _ url.Values) (json.RawMessage, error) {
	if c.refuse {
		return nil, doors.ErrInvalidField.With("not today")
	}
	if !slices.Contains(c.made, key) {
		c.made = append(c.made, key)
	}
	if c.lose > 0 {
		c.lose--
		return nil, errors.New("connection reset")
	}
	return json.RawMessage(fmt.Sprintf(`{"id":"pi_%d"}`, slices.Index(c.made, key))), nil
}

// TestAPaymentWhoseAnswerWasLostIsFoundBeforeAnotherIsMade: the notes hold one payment
// of which nobody knows whether it is there. It must not be forgotten for the next one's
// sake, or its money stays.
func TestAPaymentWhoseAnswerWasLostIsFoundBeforeAnotherIsMade(t *testing.T) {
	var noted Notes
	stripe := &counter{lose: 2}
	p := &play{Stage: Stage{Doors: stripe, Remember: func(n Notes) error { noted = n; return nil }}}
	for i, want := range []string{"", "", "pi_1", "pi_2"} {
		id, err := p.create(t.Context(), 100)
		if id != want || (err == nil) != (want != "") {
			t.Fatalf("payment %d: %q, %v", i, id, err)
		}
	}
	if want := []string{"pi_0", "pi_1", "pi_2"}; !slices.Equal(noted.Intents, want) || noted.Making != "" {
		t.Errorf("noted %+v, made %v", noted, stripe.made)
	}

	stripe.refuse = true
	if _, err := p.create(t.Context(), 100); err == nil || noted.Making != "" {
		t.Errorf("refused: %v, noted %+v", err, noted)
	}
}
