package try

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"storehub/packaging/js"
)

// till serves a demo till: a page of another origin than the hub, as a web till's is,
// on the client that is published.
//
//	GET /_try/till/              the page
//	GET /_try/till/client/*.js   the client
//	GET /_try/till/shop.json     where hub and headquarters are, and the till's credential
//
// The credential is given to this page alone: no other page may read the answer, and
// none may reach it by a name of its own.
func (s *System) till() http.Handler {
	mux := http.NewServeMux()
	for path, dir := range map[string]string{"/_try/till/": "till", "/_try/till/client/": "dist"} {
		files, err := fs.Sub(js.Files, dir)
		if err != nil {
			panic(err) // the name is a constant
		}
		mux.Handle("GET "+path, http.StripPrefix(path, http.FileServerFS(files)))
	}
	mux.HandleFunc("GET /_try/till/shop.json", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		shop := map[string]string{"hub": s.HubURL, "headquarters": s.HQURL, "credential": s.POSCredential}
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(shop)
	})
	own := strings.TrimPrefix(s.StripeURL, "http://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if site := r.Header.Get("Sec-Fetch-Site"); r.Host != own || site != "" && site != "same-origin" && site != "none" {
			http.Error(w, "not for other pages", http.StatusForbidden)
			return
		}
		s.mu.Lock()
		hub, hq := s.HubURL, s.HQURL
		s.mu.Unlock()
		h := w.Header()
		h.Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' %s %s; form-action 'none'; base-uri 'none'; frame-ancestors 'none'", hub, hq))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}
