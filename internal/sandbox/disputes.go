package sandbox

type dispute struct {
	ID                  string            `json:"id"`
	Object              string            `json:"object"`
	Amount              int64             `json:"amount"`
	BalanceTransactions []any             `json:"balance_transactions"`
	Charge              string            `json:"charge"`
	Created             int64             `json:"created"`
	Currency            string            `json:"currency"`
	IsChargeRefundable  bool              `json:"is_charge_refundable"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	PaymentIntent       string            `json:"payment_intent"`
	Reason              string            `json:"reason"`
	Status              string            `json:"status"`
}

// Dispute lets the cardholder of a captured payment dispute all of it; false:
// nothing was captured under this name. The books call it disputed.
func (s *Sandbox) Dispute(intent string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.st.Intents.get(intent)
	if !ok || in.Status != statusSucceeded {
		return false
	}
	ch := s.chargeOf(in)
	ch.Disputed = true
	s.enter(in.ID, EffectDisputed, ch.AmountCaptured, nil)
	s.emit(nil, "charge.dispute.created", &dispute{
		ID: s.id("dp_1", 23), Object: "dispute", Livemode: s.live, Amount: ch.AmountCaptured, BalanceTransactions: []any{}, Charge: ch.ID,
		Created: s.now().Unix(), Currency: ch.Currency, Metadata: map[string]string{}, PaymentIntent: in.ID,
		Reason: "fraudulent", Status: "needs_response",
	})
	s.keeper.changed()
	return true
}
