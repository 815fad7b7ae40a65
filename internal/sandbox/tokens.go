package sandbox

// connectionToken lets one SDK connect once.
type connectionToken struct {
	Object   string `json:"object"`
	Location string `json:"location,omitempty"`
	Secret   string `json:"secret"`
}

// tokenRecord is what became of a token.
type tokenRecord struct {
	Location string `json:"location"`
	Redeemed bool   `json:"redeemed"`
}

func (s *Sandbox) createToken(c *call) (any, *apiError) {
	location := c.text("location")
	if e := c.begin(); e != nil {
		return nil, e
	}
	if _, ok := s.st.Locations.get(location); location != "" && !ok {
		return nil, noSuch("location", location, "location")
	}
	t := &connectionToken{Object: "terminal.connection_token", Location: location, Secret: s.id("pst_"+s.mode(), 24)}
	s.st.Tokens[t.Secret] = &tokenRecord{Location: location}
	return t, nil
}

// activateToken stands for the SDK that redeems a token at Stripe.
func (s *Sandbox) activateToken(c *call) (any, *apiError) {
	secret := c.need("secret")
	if e := c.begin(); e != nil {
		return nil, e
	}
	t := s.st.Tokens[secret]
	if t == nil {
		return nil, invalid("resource_missing", "secret", "There is no such connection token.")
	}
	if t.Redeemed {
		return nil, invalid("", "secret", "The connection token has already been redeemed.")
	}
	t.Redeemed = true
	return map[string]any{"object": "terminal.session", "location": t.Location}, nil
}
