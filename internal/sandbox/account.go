package sandbox

func (s *Sandbox) getAccount(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	return map[string]any{
		"id": s.st.Account, "object": "account", "type": "standard", "country": "US", "default_currency": "usd",
		"charges_enabled": true, "payouts_enabled": true, "details_submitted": true, "email": nil, "metadata": map[string]string{},
		"capabilities": map[string]string{"card_payments": "active"},
		"settings":     map[string]any{"dashboard": map[string]any{"display_name": "Sandbox", "timezone": "Etc/UTC"}},
	}, nil
}

// getBalance is what was captured and not given back, by currency.
func (s *Sandbox) getBalance(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	sums := map[string]int64{}
	for _, ch := range s.st.Charges.list {
		if ch.Captured {
			sums[ch.Currency] += ch.AmountCaptured - ch.refunded()
		}
	}
	pending := []any{}
	for _, currency := range currencies {
		if n, ok := sums[currency]; ok {
			pending = append(pending, map[string]any{"amount": n, "currency": currency, "source_types": map[string]int64{"card": n}})
		}
	}
	return map[string]any{"object": "balance", "livemode": s.live, "available": []any{}, "pending": pending}, nil
}

// listPayouts is always empty: the sandbox never pays out.
func (s *Sandbox) listPayouts(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	return &list{Object: "list", URL: c.route.path, Data: []any{}}, nil
}
