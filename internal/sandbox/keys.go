package sandbox

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

const (
	secretPrefix     = "sk_"
	restrictedPrefix = "rk_"
	webhookPrefix    = "whsec_"

	testMode = "test_"
	liveMode = "live_"
)

// mode is the part of its keys that names the mode.
func (s *Sandbox) mode() string {
	if s.live {
		return liveMode
	}
	return testMode
}

// keyring holds the secrets of the account. They open nothing but this sandbox;
// still they are never logged.
type keyring struct {
	Secret     string `json:"secret"`
	Restricted string `json:"restricted"`
	Webhook    string `json:"webhook"`
}

// bearer reads the key as Stripe does: from Basic's user name, or as a token.
func bearer(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok {
		return user
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// authenticate says whether the key is the restricted one, or refuses it.
func (s *Sandbox) authenticate(r *http.Request) (restricted bool, err *apiError) {
	key := bearer(r)
	same := func(want string) bool { return subtle.ConstantTimeCompare([]byte(key), []byte(want)) == 1 }
	switch {
	case key == "":
		return false, unauthorized("no API key was given: send it as Authorization: Bearer, or as the user name of Basic")
	case same(s.st.Keys.Secret):
		return false, nil
	case same(s.st.Keys.Restricted):
		return true, nil
	default:
		return false, unauthorized("Invalid API Key provided: " + redactKey(key))
	}
}

// redactKey shows what kind of key it was and its end, as Stripe does.
func redactKey(key string) string {
	if len(key) < 16 {
		return "****"
	}
	return key[:8] + "****" + key[len(key)-4:]
}

// checkAccount refuses a Stripe-Account other than the one account there is.
func (s *Sandbox) checkAccount(r *http.Request) *apiError {
	if a := r.Header.Get("Stripe-Account"); a != "" && a != s.st.Account {
		return &apiError{
			Status: http.StatusForbidden, Type: invalidRequest, Code: "account_invalid",
			Message: "The provided key does not have access to account '" + a + "' (or that account does not exist).",
		}
	}
	return nil
}
