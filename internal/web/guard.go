package web

import "net/http"

// formMost is what a form of the console may hold.
const formMost = 64 << 10

// Session is who asks, if anybody is in.
func (s *Site) Session(r *http.Request) (Session, bool) {
	if s.o.Sessions == nil {
		return Session{}, false
	}
	return s.o.Sessions.Of(r)
}

// Inside serves whoever is in; others see [Options].SignIn. What changes something must
// come from a page of ours twice over: by what the browser says of where it comes from, and
// by carrying the session's word, as the field "csrf" or the header X-CSRF-Token.
func (s *Site) Inside(next func(http.ResponseWriter, *http.Request, Session)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, ok := s.Session(r)
		if !ok {
			s.o.SignIn(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			r.Body = http.MaxBytesReader(w, r.Body, formMost)
			given := r.Header.Get("X-CSRF-Token")
			if given == "" {
				given = r.PostFormValue("csrf")
			}
			if s.origin.Check(r) != nil || !same(given, in.CSRF()) {
				s.refuse(w, r)
				return
			}
		}
		next(w, r, in)
	})
}

// Outside serves anybody. What changes something must come from a page of ours, as far as
// the browser says; there is no session yet whose word it could carry.
func (s *Site) Outside(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, formMost)
		if s.origin.Check(r) != nil {
			s.refuse(w, r)
			return
		}
		next(w, r)
	})
}

func (s *Site) refuse(w http.ResponseWriter, r *http.Request) {
	s.Show(w, r, http.StatusForbidden, "refused.html", Page{Title: "Not done", Bare: true, Data: s.o.Base})
}

// Back answers a form that did its work: the browser asks for the page anew, and asking
// twice does nothing twice.
func Back(w http.ResponseWriter, r *http.Request, to string) {
	Secure(w.Header())
	http.Redirect(w, r, to, http.StatusSeeOther)
}
