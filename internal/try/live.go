package try

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"storehub/doors"
	"storehub/internal/sandbox"
)

// mode is the store's.
func (s *System) mode() doors.Mode {
	if s.o.Live {
		return doors.Live
	}
	return doors.Test
}

// openTestMode gives an account that is played live its test mode: other keys, other
// objects, events to the same headquarters under a secret of their own.
func (s *System) openTestMode() (err error) {
	if !s.o.Live {
		return nil
	}
	s.TestMode, err = sandbox.New(sandbox.Options{
		WebhookURL: "http://" + s.hqListen + "/stripe/webhook",
		Log:        s.o.Log.With("part", "test mode"),
		Mirror:     s.o.Mirror,
		StateFile:  filepath.Join(s.dir, "stripe-test.json"),
	})
	return err
}

// byMode serves Stripe: one address, and the key says of which mode is spoken.
func (s *System) byMode() http.Handler {
	if s.TestMode == nil {
		return s.Sandbox.Handler()
	}
	live, test := s.Sandbox.Handler(), s.TestMode.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "_test_") {
			test.ServeHTTP(w, r)
			return
		}
		live.ServeHTTP(w, r)
	})
}

// findTestLocation is the place of the shop in test mode, made at the first start.
func (s *System) findTestLocation(ctx context.Context) error {
	if s.TestMode == nil {
		return nil
	}
	test := stripe{base: s.StripeURL, key: s.TestMode.SecretKey(), http: &http.Client{Timeout: 10 * time.Second}}
	var have struct{ Data []struct{ ID string } }
	if err := test.do(ctx, http.MethodGet, "/v1/terminal/locations", nil, &have); err != nil {
		return err
	}
	if len(have.Data) > 0 {
		s.testLocation = have.Data[0].ID
		return nil
	}
	var made struct{ ID string }
	if err := test.do(ctx, http.MethodPost, "/v1/terminal/locations", demoShop, &made); err != nil {
		return fmt.Errorf("make the test Location: %w", err)
	}
	s.testLocation = made.ID
	return nil
}

// TestLocation is the id of the shop in test mode; "": the shop itself is of test mode.
func (s *System) TestLocation() string { return s.testLocation }

// webhookSecrets are those that events are signed with.
func (s *System) webhookSecrets() []string {
	list := []string{s.secrets.WebhookSecret}
	if s.TestMode != nil {
		list = append(list, s.TestMode.WebhookSecret())
	}
	return list
}
