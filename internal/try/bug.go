package try

import (
	"bytes"
	"io"
	"net/http"
)

// breaking is headquarters with a bug: it breaks on what is offered of one payment, as
// often as it is offered, until a hand mends it.
func (s *System) breaking(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ref := s.bug.Load()
		if ref == nil || r.Method != http.MethodPost || r.URL.Path != "/store/v1/operations" {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || bytes.Contains(body, []byte(`"`+*ref+`"`)) {
			http.Error(w, "a bug", http.StatusInternalServerError)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// flaw gives headquarters a bug with the payment ?ref=, or mends it.
func (s *System) flaw(w http.ResponseWriter, r *http.Request) {
	switch ref := r.URL.Query().Get("ref"); {
	case r.PathValue("deed") == "mend":
		s.bug.Store(nil)
	case ref == "":
		http.Error(w, "which payment? ?ref=pi_…", http.StatusBadRequest)
		return
	default:
		s.bug.Store(&ref)
	}
	_, _ = io.WriteString(w, "headquarters: "+r.PathValue("deed")+" done\n")
}
