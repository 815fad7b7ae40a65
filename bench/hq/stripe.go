package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"storehub/internal/sandbox"
)

// serveStripe is the sandbox. It says nothing about how fast Stripe is: every road
// that is compared ends at it.
func serveStripe(ctx context.Context, o order) error {
	box, err := sandbox.New(sandbox.Options{})
	if err != nil {
		return err
	}
	var h http.Handler = box.Handler()
	if o.Rate > 0 {
		h = limited(h, float64(o.Rate))
	}
	web := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	err = listenUntil(ctx, web, ready{Key: box.SecretKey(), Secret: box.WebhookSecret()}, func() {})
	if err := box.Close(); err != nil {
		return err
	}
	return err
}

// limited refuses what goes beyond a bucket of rate requests for each endpoint, as
// Stripe does, and tells under /refused how often it did.
func limited(h http.Handler, rate float64) http.Handler {
	var mu sync.Mutex
	left, at := map[string]float64{}, map[string]time.Time{}
	refused := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			mu.Lock()
			defer mu.Unlock()
			_, _ = w.Write([]byte(strconv.Itoa(refused)))
			return
		}
		// The key's own calls before the opening are not of the opening.
		if r.Header.Get("Bench") == "" {
			name := r.Method + " " + endpoint(r.URL.Path)
			mu.Lock()
			now := time.Now()
			have, known := left[name]
			if !known {
				have = rate
			} else {
				have = min(rate, have+now.Sub(at[name]).Seconds()*rate)
			}
			at[name] = now
			ok := have >= 1
			if ok {
				have--
			} else {
				refused++
			}
			left[name] = have
			mu.Unlock()
			if !ok {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Stripe-Rate-Limited-Reason", "endpoint-rate")
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"rate_limit","message":"Request rate limit exceeded."}}`))
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// endpoint is the path without ids.
func endpoint(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "pi_") || strings.HasPrefix(p, "tmr_") || strings.HasPrefix(p, "tml_") {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}
