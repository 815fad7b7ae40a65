package sandbox

const (
	actionInProgress = "in_progress"
	actionSucceeded  = "succeeded"
	actionFailed     = "failed"
)

// action is what a reader does or did last.
type action struct {
	Type                 string         `json:"type"`
	Status               string         `json:"status"`
	FailureCode          *string        `json:"failure_code"`
	FailureMessage       *string        `json:"failure_message"`
	APIError             *apiError      `json:"api_error"`
	ProcessPaymentIntent *actionIntent  `json:"process_payment_intent,omitempty"`
	ProcessSetupIntent   *actionSetup   `json:"process_setup_intent,omitempty"`
	RefundPayment        *actionRefund  `json:"refund_payment,omitempty"`
	SetReaderDisplay     *actionDisplay `json:"set_reader_display,omitempty"`
}

type actionIntent struct {
	PaymentIntent string         `json:"payment_intent"`
	ProcessConfig *processConfig `json:"process_config,omitempty"`
}

type processConfig struct {
	EnableCustomerCancellation *bool `json:"enable_customer_cancellation,omitempty"`
	SkipTipping                *bool `json:"skip_tipping,omitempty"`
}

type actionSetup struct {
	SetupIntent   string  `json:"setup_intent"`
	GeneratedCard *string `json:"generated_card,omitempty"`
}

type actionRefund struct {
	Amount        *int64            `json:"amount,omitempty"`
	Charge        string            `json:"charge,omitempty"`
	PaymentIntent string            `json:"payment_intent,omitempty"`
	Refund        string            `json:"refund,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

type actionDisplay struct {
	Type string       `json:"type"`
	Cart *displayCart `json:"cart"`
}

type displayCart struct {
	Currency  string     `json:"currency"`
	LineItems []cartLine `json:"line_items"`
	Tax       *int64     `json:"tax"`
	Total     int64      `json:"total"`
}

type cartLine struct {
	Amount      int64  `json:"amount"`
	Description string `json:"description"`
	Quantity    int64  `json:"quantity"`
}

// ready finds the reader of an action and refuses what it cannot begin now. An
// action that waits for a card may be replaced by another.
func (s *Sandbox) ready(c *call) (*readerRecord, *apiError) {
	rd, e := s.needReader(c)
	switch {
	case e != nil:
		return nil, e
	case rd.State.offline(s.now()):
		return nil, invalid("terminal_reader_offline", "", "The reader is offline: check its power and its network.")
	case rd.State.Busy:
		return nil, invalid("terminal_reader_busy", "", "The reader is busy with something else.")
	case rd.Location == nil:
		return nil, invalid("terminal_reader_invalid_location_for_payment", "", "The reader belongs to no location.")
	}
	return rd, nil
}

func (s *Sandbox) processIntent(c *call) (any, *apiError) {
	id := c.need("payment_intent")
	conf := c.readProcessConfig()
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.ready(c)
	if e != nil {
		return nil, e
	}
	in, ok := s.st.Intents.get(id)
	if !ok {
		return nil, noSuch("payment_intent", id, "payment_intent")
	}
	if in.Status != statusRequiresPaymentMethod {
		e := invalid("intent_invalid_state", "payment_intent", "The PaymentIntent has a status of "+in.Status+
			"; a reader takes one that requires_payment_method.")
		e.PaymentIntent = in.wire(c.version)
		return nil, e
	}
	if !in.takes("card_present") && !in.takes("interac_present") {
		return nil, invalid("payment_intent_invalid_parameter", "payment_intent", "The PaymentIntent does not allow card_present.")
	}
	rd.Action = &action{Type: "process_payment_intent", Status: actionInProgress,
		ProcessPaymentIntent: &actionIntent{PaymentIntent: id, ProcessConfig: conf}}
	if rd.State.TimesOut || rd.State.Gone {
		return nil, invalid("terminal_reader_timeout", "", "The reader did not answer in time.")
	}
	return s.readerWire(rd), nil
}

func (c *call) readProcessConfig() *processConfig {
	h := c.hash("process_config", "enable_customer_cancellation", "skip_tipping", "tipping", "allow_redisplay", "return_url")
	if h == nil {
		return nil
	}
	conf := &processConfig{}
	for name, to := range map[string]**bool{
		"enable_customer_cancellation": &conf.EnableCustomerCancellation, "skip_tipping": &conf.SkipTipping,
	} {
		if f, ok := h[name]; ok {
			*to = c.flagOf(f, "process_config["+name+"]")
		}
	}
	return conf
}

func (s *Sandbox) processSetup(c *call) (any, *apiError) {
	id := c.need("setup_intent")
	if c.need("allow_redisplay"); c.err == nil {
		c.oneOf("allow_redisplay", "always", "limited", "unspecified")
	}
	c.readProcessConfig()
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.ready(c)
	if e != nil {
		return nil, e
	}
	si, ok := s.st.SetupIntents.get(id)
	if !ok {
		return nil, noSuch("setup_intent", id, "setup_intent")
	}
	if si.Status != statusRequiresPaymentMethod {
		return nil, invalid("intent_invalid_state", "setup_intent", "The SetupIntent has a status of "+si.Status+".")
	}
	rd.Action = &action{Type: "process_setup_intent", Status: actionInProgress, ProcessSetupIntent: &actionSetup{SetupIntent: id}}
	return s.readerWire(rd), nil
}

func (s *Sandbox) processRefund(c *call) (any, *apiError) {
	amount, meta := c.amount("amount"), c.metadata(nil)
	pi, charge := c.refundTarget()
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.ready(c)
	if e != nil {
		return nil, e
	}
	in, ch, e := s.refundable(c, pi, charge)
	if e != nil {
		return nil, e
	}
	if _, e := s.refundAmount(ch, amount); e != nil {
		return nil, e
	}
	rd.Action = &action{Type: "refund_payment", Status: actionInProgress,
		RefundPayment: &actionRefund{Amount: amount, Charge: charge, PaymentIntent: in.ID, Metadata: meta}}
	return s.readerWire(rd), nil
}

func (s *Sandbox) setDisplay(c *call) (any, *apiError) {
	if c.need("type"); c.err == nil {
		c.oneOf("type", "cart")
	}
	cart := c.readCart()
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.ready(c)
	if e != nil {
		return nil, e
	}
	rd.Action = &action{Type: "set_reader_display", Status: actionSucceeded, SetReaderDisplay: &actionDisplay{Type: "cart", Cart: cart}}
	return s.readerWire(rd), nil
}

func (c *call) readCart() *displayCart {
	h := c.hash("cart", "currency", "line_items", "tax", "total")
	if h == nil {
		c.fail(missing("cart"))
		return nil
	}
	text := func(h map[string]*form, at, name string) string {
		f, ok := h[name]
		if !ok {
			c.fail(missing(at + "[" + name + "]"))
			return ""
		}
		return c.textOf(f, at+"["+name+"]")
	}
	number := func(h map[string]*form, at, name string) int64 {
		f, ok := h[name]
		if !ok {
			c.fail(missing(at + "[" + name + "]"))
			return 0
		}
		n := c.integerOf(f, at+"["+name+"]")
		if n == nil {
			return 0
		}
		return *n
	}
	cart := &displayCart{Currency: text(h, "cart", "currency"), Total: number(h, "cart", "total")}
	if f, ok := h["tax"]; ok {
		cart.Tax = c.integerOf(f, "cart[tax]")
	}
	items, ok := h["line_items"]
	if !ok {
		c.fail(missing("cart[line_items]"))
		return cart
	}
	lines, ok := items.items()
	if !ok {
		c.fail(invalid("", "cart[line_items]", "Invalid array"))
	}
	for _, f := range lines {
		const at = "cart[line_items][]"
		h := c.hashOf(f, at, "amount", "description", "quantity")
		cart.LineItems = append(cart.LineItems, cartLine{number(h, at, "amount"), text(h, at, "description"), number(h, at, "quantity")})
	}
	return cart
}

// cancelAction ends what waits for a card, and clears the display.
func (s *Sandbox) cancelAction(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.ready(c)
	if e != nil {
		return nil, e
	}
	rd.Action = nil
	return s.readerWire(rd), nil
}

// present holds a test card to a reader.
func (s *Sandbox) present(c *call) (any, *apiError) {
	kind := firstOf(c.oneOf("type", "card_present", "interac_present"), "card_present")
	number := map[string]string{"card_present": defaultCard, "interac_present": defaultInterac}[kind]
	for _, name := range []string{"card_present", "interac_present"} {
		if f, ok := c.hash(name, "number")["number"]; ok && name == kind {
			number = cleanNumber(c.textOf(f, name+"[number]"))
		}
	}
	tip := c.integer("amount_tip")
	if _, ok := testCards[number]; !ok {
		c.fail(invalid("", kind+"[number]", "This is not one of the test numbers."))
	}
	if tip != nil && (*tip < 0 || *tip > maxAmount) {
		c.fail(invalid("parameter_invalid_integer", "amount_tip", "Invalid amount_tip."))
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.needReader(c)
	if e != nil {
		return nil, e
	}
	if rd.Action == nil || rd.Action.Status != actionInProgress {
		return nil, invalid("", "", "The reader has no action in progress that a payment method could be presented to.")
	}
	if rd.State.silent() {
		return nil, invalid("terminal_reader_offline", "", "The reader is offline: check its power and its network.")
	}
	var failed *apiError
	switch a := rd.Action; a.Type {
	case "process_payment_intent":
		failed = s.pay(c, rd, a, number, tip)
	case "process_setup_intent":
		failed = s.saveCard(c, a, number)
	case "refund_payment":
		failed = s.refundInPerson(c, a)
	}
	if rd.State.Stuck {
		return s.readerWire(rd), nil
	}
	rd.Action.Status = actionSucceeded
	if failed != nil {
		rd.Action.Status, rd.Action.FailureCode, rd.Action.FailureMessage = actionFailed, &failed.Code, &failed.Message
		rd.Action.APIError = failed
	}
	s.emit(c, "terminal.reader.action_"+rd.Action.Status, s.readerWire(rd))
	return s.readerWire(rd), nil
}

// pay decides a card for the intent of an action.
func (s *Sandbox) pay(c *call, rd *readerRecord, a *action, number string, tip *int64) *apiError {
	in, _ := s.st.Intents.get(a.ProcessPaymentIntent.PaymentIntent)
	if in.Status != statusRequiresPaymentMethod {
		return invalid("intent_invalid_state", "payment_intent", "The PaymentIntent has a status of "+in.Status+".")
	}
	if tip != nil {
		in.Amount += *tip - in.AmountDetails.Tip.Amount
		in.AmountDetails.Tip.Amount = *tip
	}
	card := testCards[number]
	ch := s.newCharge(in, rd, number)
	method := ch.PaymentMethodDetails.Type
	s.st.Charges.add(ch)
	in.LatestCharge = &ch.ID
	decline := firstOf(card.declined, amountDecline(in.Amount))
	if !in.takes(method) || card.interac && in.asksManual(method) {
		decline = "card_not_supported"
	}
	if decline != "" {
		return s.decline(c, in, ch, decline)
	}
	in.PaymentMethod, in.LastPaymentError = &ch.PaymentMethod, nil
	s.st.PaymentMethods.add(newPaymentMethod(ch))
	s.enter(in.ID, EffectAuthorised, in.Amount, c)
	if in.asksManual(method) && !card.single {
		in.Status, in.AmountCapturable = statusRequiresCapture, in.Amount
		s.emit(c, "charge.succeeded", ch.wire(accountVersion))
		s.emit(c, "payment_intent.amount_capturable_updated", in.wire(accountVersion))
		return nil
	}
	s.settleCapture(c, in, ch, in.Amount)
	s.emit(c, "charge.succeeded", ch.wire(accountVersion))
	s.emit(c, "payment_intent.succeeded", in.wire(accountVersion))
	return nil
}

func (s *Sandbox) decline(c *call, in *intentRecord, ch *chargeRecord, code string) *apiError {
	e := declineError(code)
	e.Charge = ch.ID
	ch.Status, ch.Paid, ch.FailureCode, ch.FailureMessage = "failed", false, &e.Code, &e.Message
	ch.Outcome = outcome{AdviceCode: &e.AdviceCode, NetworkStatus: "declined_by_network", Reason: &e.DeclineCode,
		SellerMessage: "The bank did not return any further details with this decline.", Type: "issuer_declined"}
	in.LastPaymentError = e
	s.emit(c, "charge.failed", ch.wire(accountVersion))
	s.emit(c, "payment_intent.payment_failed", in.wire(accountVersion))
	told := *e
	told.Code = "card_declined" // a reader's action knows this one word for every decline
	return &told
}
