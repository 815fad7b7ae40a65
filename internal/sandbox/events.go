package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// event is what happened, with the object as it stood then.
type event struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int          `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`
}

type eventData struct {
	Object json.RawMessage `json:"object"`
}

type eventRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

// eventRecord is an event and the endpoints that have not had it yet.
type eventRecord struct {
	event
	Waiting []string `json:"_waiting,omitempty"` // ids of endpoints still to be tried
	Missed  bool     `json:"_missed,omitempty"`  // some endpoint never took it
}

func (ev *eventRecord) ident() string { return ev.ID }
func (ev *eventRecord) wire() any     { return ev.event }

// emit makes an event and sends it on its way; c is nil where time alone did it.
func (s *Sandbox) emit(c *call, kind string, object any) {
	raw, err := json.Marshal(object)
	if err != nil {
		panic("sandbox: encode event: " + err.Error())
	}
	ev := &eventRecord{event: event{
		ID: s.id("evt_3", 23), Object: "event", Livemode: s.live, APIVersion: accountVersion, Created: s.now().Unix(),
		Data: eventData{raw}, Type: kind,
	}}
	if c != nil {
		ev.Request = eventRequest{optional(c.requestID), optional(c.key)}
	}
	s.st.Events.add(ev)
	for _, ep := range s.endpoints() {
		if ep.wants(kind) {
			ev.Waiting = append(ev.Waiting, ep.ID)
		}
	}
	ev.PendingWebhooks = len(ev.Waiting)
	s.dispatch(ev)
}

// eventLife is how long Stripe tells of an event.
const eventLife = 30 * 24 * time.Hour

// forgetEvents drops what Stripe would no longer tell.
func (s *Sandbox) forgetEvents(now time.Time) {
	oldest := now.Add(-eventLife).Unix()
	for len(s.st.Events.list) > 0 && s.st.Events.list[0].Created < oldest {
		s.st.Events.remove(s.st.Events.list[0].ID)
	}
}

func (s *Sandbox) getEvent(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	ev, ok := s.st.Events.get(c.ids[0])
	if !ok {
		return nil, noSuch("event", c.ids[0], "")
	}
	return ev.wire(), nil
}

func (s *Sandbox) listEvents(c *call) (any, *apiError) {
	kinds, when, success := c.texts("types"), c.created(), c.flag("delivery_success")
	if kind := c.text("type"); kind != "" {
		kinds = append(kinds, kind)
	}
	return page(c, "event", &s.st.Events,
		func(ev *eventRecord) bool {
			return when(ev.Created) && (len(kinds) == 0 || slices.ContainsFunc(kinds, ev.is)) &&
				(success == nil || *success == (len(ev.Waiting) == 0 && !ev.Missed))
		},
		func(ev *eventRecord) any { return ev.wire() })
}

// is matches the event's type with a name or a wildcard such as charge.*.
func (ev *eventRecord) is(kind string) bool { return matchKind(kind, ev.Type) }

func matchKind(pattern, kind string) bool {
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(kind, head)
	}
	return pattern == kind
}

// endpointRecord is an address that wants events.
type endpointRecord struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	APIVersion    *string           `json:"api_version"`
	Created       int64             `json:"created"`
	Description   *string           `json:"description"`
	EnabledEvents []string          `json:"enabled_events"`
	Livemode      bool              `json:"livemode"`
	Metadata      map[string]string `json:"metadata"`
	Secret        string            `json:"secret,omitempty"` // told once, when it is made
	Status        string            `json:"status"`
	URL           string            `json:"url"`
}

func (ep *endpointRecord) ident() string { return ep.ID }

func (ep *endpointRecord) wants(kind string) bool {
	return slices.ContainsFunc(ep.EnabledEvents, func(p string) bool { return matchKind(p, kind) })
}

// configured is the id of the endpoint that Options names.
const configured = "we_configured"

// configureEndpoint makes the endpoint of Options one of the account's: it wants
// everything until somebody changes that.
func (s *Sandbox) configureEndpoint() {
	if s.st.WebhookURL == "" {
		s.st.Endpoints.remove(configured)
		return
	}
	ep, ok := s.st.Endpoints.get(configured)
	if !ok {
		ep = &endpointRecord{ID: configured, Object: "webhook_endpoint", Livemode: s.live, EnabledEvents: []string{"*"},
			Metadata: map[string]string{}, Status: endpointEnabled, Created: s.now().Unix()}
		s.st.Endpoints.add(ep)
	}
	ep.URL, ep.Secret = s.st.WebhookURL, s.st.Keys.Webhook
}

const (
	endpointEnabled  = "enabled"
	endpointDisabled = "disabled"
)

// endpoints are all that want events now.
func (s *Sandbox) endpoints() []*endpointRecord {
	return slices.DeleteFunc(slices.Clone(s.st.Endpoints.list), func(ep *endpointRecord) bool { return ep.Status == endpointDisabled })
}

func (s *Sandbox) createEndpoint(c *call) (any, *apiError) {
	ep := &endpointRecord{Object: "webhook_endpoint", Livemode: s.live, URL: c.need("url"), EnabledEvents: c.texts("enabled_events"),
		Description: optional(c.text("description")), APIVersion: optional(c.text("api_version")), Metadata: c.metadata(nil), Status: endpointEnabled}
	if len(ep.EnabledEvents) == 0 {
		c.fail(missing("enabled_events"))
	}
	if !strings.HasPrefix(ep.URL, "http://") && !strings.HasPrefix(ep.URL, "https://") {
		c.fail(invalid("url_invalid", "url", "Invalid URL: an explicit scheme (such as https) must be provided."))
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	ep.ID, ep.Created, ep.Secret = s.id("we_1", 23), s.now().Unix(), webhookPrefix+s.random(32)
	s.st.Endpoints.add(ep)
	return ep, nil
}

// updateEndpoint changes what an endpoint wants, or whether it wants anything.
func (s *Sandbox) updateEndpoint(c *call) (any, *apiError) {
	kinds, off := c.texts("enabled_events"), c.flag("disabled")
	if e := c.begin(); e != nil {
		return nil, e
	}
	ep, ok := s.st.Endpoints.get(c.ids[0])
	if !ok {
		return nil, noSuch("webhook endpoint", c.ids[0], "")
	}
	if len(kinds) > 0 {
		ep.EnabledEvents = kinds
	}
	if off != nil {
		ep.Status = endpointEnabled
		if *off {
			ep.Status = endpointDisabled
		}
	}
	return ep.wire(), nil
}

// wire hides the secret, which is told once.
func (ep *endpointRecord) wire() any {
	out := *ep
	out.Secret = ""
	return out
}

func (s *Sandbox) listEndpoints(c *call) (any, *apiError) {
	return page(c, "webhook_endpoint", &s.st.Endpoints, every, func(ep *endpointRecord) any { return ep.wire() })
}
