package hub

import (
	"context"
	"slices"

	"storehub/doors"
)

// Till implements [doors.Backend].
func (h *Hub) Till(_ context.Context, credential string) (doors.Till, error) {
	t, ok := h.tills.lookup(credential)
	if !ok {
		return doors.Till{}, doors.ErrUnauthorized
	}
	if t.Mode == "" {
		if s := h.store.Load(); s != nil {
			t.Mode = s.Mode
		}
	}
	return t, nil
}

// callScopes is who may ask for what (money.md 1.5 speaks of tills; a monitor
// only looks on).
var callScopes = map[doors.Call][]doors.Scope{
	doors.CreatePaymentIntent:   {doors.ScopePOS, doors.ScopeManager},
	doors.RetrievePaymentIntent: {doors.ScopePOS, doors.ScopeManager},
	doors.UpdatePaymentIntent:   {doors.ScopePOS, doors.ScopeManager},
	doors.CreateSetupIntent:     {doors.ScopePOS, doors.ScopeManager},
	doors.AttachPaymentMethod:   {doors.ScopePOS, doors.ScopeManager},
	doors.CreateLocation:        {doors.ScopeManager},
	doors.ListLocations:         {doors.ScopePOS, doors.ScopeManager, doors.ScopeMonitor},
	doors.RegisterReader:        {doors.ScopeManager},
	doors.RetrieveReader:        {doors.ScopePOS, doors.ScopeManager, doors.ScopeMonitor},
	doors.ListReaders:           {doors.ScopePOS, doors.ScopeManager, doors.ScopeMonitor},
	doors.ProcessPaymentIntent:  {doors.ScopePOS, doors.ScopeManager},
	doors.CancelAction:          {doors.ScopePOS, doors.ScopeManager},
	doors.RefundPayment:         {doors.ScopePOS, doors.ScopeManager}, // within the shop's limit
	doors.SetReaderDisplay:      {doors.ScopePOS, doors.ScopeManager},
	doors.PresentPaymentMethod:  {doors.ScopePOS, doors.ScopeManager},
}

func mayCall(t doors.Till, c doors.Call) error {
	allowed, known := callScopes[c]
	if !known {
		return doors.ErrNotFound.With("no call %q", string(c))
	}
	if !slices.Contains(allowed, t.Scope) {
		return doors.ErrForbidden.With("scope %s may not call %s", t.Scope, c)
	}
	if c == doors.PresentPaymentMethod && t.Mode != doors.Test {
		return doors.ErrModeMismatch.With("cards are presented by a call only in test mode")
	}
	return nil
}

// refundLimit is what a till may refund at once without a manager; nothing until
// headquarters has said more.
func (h *Hub) refundLimit() int64 {
	if l := h.policy.Load().Policy.RefundLimit; l != nil {
		return *l
	}
	if s := h.store.Load(); s != nil {
		return s.RefundLimit
	}
	return 0
}
